package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// noise does not compress, so that offsets into a blob mean something.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return string(data)
}

func pull(t *testing.T, s *store.Store, ref string) (*store.Image, *events, error) {
	t.Helper()
	told := &events{}
	img, err := Pull(context.Background(), s, PullOptions{Reference: ref, TLSVerify: true, Progress: told})
	return img, told, err
}

// leftovers lists what is in the store's folders beyond what a user keeps there.
func leftovers(t *testing.T, s *store.Store) []string {
	t.Helper()
	var found []string
	for _, folder := range []string{"tmp", "live", "layers", "locks", "blobs/sha256"} {
		entries, err := os.ReadDir(filepath.Join(s.Root, folder))
		must(t, err)
		for _, e := range entries {
			name := e.Name()
			kept := folder == "layers" && store.ValidDigest("sha256:"+strings.TrimSuffix(name, ".json")) ||
				folder == "blobs/sha256" && store.ValidDigest("sha256:"+name) ||
				folder == "locks" && slices.Contains([]string{"images", "userns", "boot", "names"}, name)
			if !kept {
				found = append(found, folder+"/"+name)
			}
		}
	}
	return found
}

func checkClean(t *testing.T, s *store.Store) {
	t.Helper()
	if found := leftovers(t, s); len(found) > 0 {
		t.Errorf("left behind: %q", found)
	}
}

// empty checks that a pull has left nothing at all.
func empty(t *testing.T, s *store.Store) {
	t.Helper()
	checkClean(t, s)
	for _, folder := range []string{"layers", "blobs/sha256", "refs", "images"} {
		entries, err := os.ReadDir(filepath.Join(s.Root, folder))
		must(t, err)
		if len(entries) > 0 {
			t.Errorf("%s holds %v", folder, entries)
		}
	}
}

func hint(err error) string {
	var host *userns.HostError
	if errors.As(err, &host) {
		return host.Hint
	}
	return ""
}

func TestPassingFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault func(f *fake) func(w http.ResponseWriter, r *http.Request, attempt int) bool
		told  string
	}{
		{"too many requests", func(*fake) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, attempt int) bool {
				if !isBlob(r) || attempt > 1 {
					return false
				}
				w.Header().Set("Retry-After", "1")
				http.Error(w, "slowly", http.StatusTooManyRequests)
				return true
			}
		}, "in 1s: "},
		{"server errors everywhere", func(*fake) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, attempt int) bool {
				if attempt > 1 {
					return false
				}
				http.Error(w, "sick", http.StatusServiceUnavailable)
				return true
			}
		}, "503"},
		{"broken connections", func(f *fake) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, attempt int) bool {
				if attempt > 3 || r.URL.Path == "/v2/" { // net/http tries a connection that was idle again by itself
					return false
				}
				panic(http.ErrAbortHandler)
			}
		}, "EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, f := newStore(t), newFake(t)
			f.add(t, "latest", layer{tar: files(t, "a", "1")}, layer{tar: files(t, "b", "2")})
			f.fault = test.fault(f)
			_, told, err := pull(t, s, f.name("x"))
			if err != nil {
				t.Fatalf("%v\n%v", err, told)
			}
			if !strings.Contains(told.String(), "Retrying") || !strings.Contains(told.String(), test.told) {
				t.Errorf("nobody was told: %v", told)
			}
			checkClean(t, s)
		})
	}
}

// A download that breaks goes on where it stood, in one pull, and in the next.
func TestResume(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	archive := files(t, "data", noise(300_000), "more", "1")
	d := f.add(t, "latest", layer{tar: archive})
	blob := store.Digest(compress(t, archive))
	short := func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if !strings.HasSuffix(r.URL.Path, blob) {
			return false
		}
		if attempt == 1 {
			f.cut(w, r, 100_000)
		}
		http.Error(w, "gone", http.StatusForbidden)
		return true
	}
	f.fault = short
	if _, _, err := pull(t, s, f.name("x")); err == nil {
		t.Fatal("a pull that could not be finished has succeeded")
	}
	path, err := s.BlobPath(blob)
	must(t, err)
	st, err := os.Stat(path + ".partial")
	must(t, err)
	if st.Size() != 100_000 {
		t.Errorf("%d bytes of the layer were kept, not 100000", st.Size())
	}
	if _, err := s.Image(store.Ref{Registry: strings.TrimSuffix(f.name(""), "/"), Repository: "x", Tag: "latest"}); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("the name of a pull that failed leads to something: %v", err)
	}
	f.fault = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if strings.HasSuffix(r.URL.Path, blob) && attempt == 3 { // once more, after the first two above
			w.Header().Set("Content-Range", "bytes 100000-")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(f.blobs[blob][100_000:200_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	img, told, err := pull(t, s, f.name("x"))
	if err != nil {
		t.Fatalf("%v\n%v", err, told)
	}
	if img.Manifest != d.Digest {
		t.Errorf("manifest %s", img.Manifest)
	}
	for _, want := range []string{"bytes=100000-", "bytes=200000-"} {
		if f.asked(want) == 0 {
			t.Errorf("nothing was asked for by %s: %q", want, f.requests)
		}
	}
	data, err := os.ReadFile(filepath.Join(s.LayerPath(store.Digest(archive)), "data"))
	must(t, err)
	if string(data) != noise(300_000) {
		t.Error("the file is not what was packed")
	}
	checkClean(t, s)
}

// A registry that ignores ranges is put up with.
func TestResumeWithoutRange(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	f.add(t, "latest", layer{tar: files(t, "data", noise(300_000))})
	f.fault = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if !isBlob(r) {
			return false
		}
		if attempt == 1 {
			f.cut(w, r, 100_000)
		}
		r.Header.Del("Range")
		return false
	}
	if _, told, err := pull(t, s, f.name("x")); err != nil {
		t.Fatalf("%v\n%v", err, told)
	}
	checkClean(t, s)
}

// What an earlier pull left may be damaged: then it is got anew.
func TestDamagedPartial(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	archive := files(t, "data", noise(300_000))
	f.add(t, "latest", layer{tar: archive})
	for name, damage := range map[string]string{"garbage": strings.Repeat("x", 1000), "a wrong beginning of the right kind": string(compress(t, files(t, "other", "1")))[:60], "too long": noise(400_000)} {
		path, err := s.BlobPath(store.Digest(compress(t, archive)))
		must(t, err)
		must(t, os.WriteFile(path+".partial", []byte(damage), 0o600))
		img, told, err := pull(t, s, f.name("x"))
		if err != nil {
			t.Fatalf("%s: %v\n%v", name, err, told)
		}
		_, err = s.RemoveImage(img, false)
		must(t, err)
	}
	empty(t, s)
}

// What cannot be used is refused in words, and leaves the store as it was.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := files(t, "a", "1")
	hostile := files(t, "../../x", "1")
	tests := []struct {
		name string
		make func(t *testing.T, f *fake)
		want string
	}{
		{"wrong digest", func(t *testing.T, f *fake) {
			f.add(t, "latest", layer{tar: good})
			other := compress(t, files(t, "a", "2"))
			f.blobs[store.Digest(compress(t, good))] = other
		}, "wrong digest"},
		{"wrong digest of what is no archive", func(t *testing.T, f *fake) {
			f.add(t, "latest", layer{tar: good})
			digest := store.Digest(compress(t, good))
			f.blobs[digest] = []byte(strings.Repeat("?", len(f.blobs[digest])))
		}, "wrong digest"},
		{"wrong diff id", func(t *testing.T, f *fake) {
			f.add(t, "latest", layer{tar: good, diffID: store.Digest([]byte("else"))})
		}, "diff id"},
		{"hostile name", func(t *testing.T, f *fake) { f.add(t, "latest", layer{tar: hostile}) }, "leads out of the image"},
		{"truncated archive", func(t *testing.T, f *fake) {
			blob := compress(t, good)
			f.add(t, "latest", layer{tar: good, blob: blob[:len(blob)-10]})
		}, "unexpected EOF"},
		{"bzip2", func(t *testing.T, f *fake) { f.add(t, "latest", layer{tar: good, blob: []byte("BZh91AY")}) }, "bzip2"},
		{"no archive", func(t *testing.T, f *fake) {
			f.add(t, "latest", layer{tar: good, blob: []byte(strings.Repeat("?", 2000))})
		}, "invalid tar header"},
		{"schema 1", func(t *testing.T, f *fake) {
			f.documents["latest"] = document{"application/vnd.docker.distribution.manifest.v1+prettyjws", []byte(`{"schemaVersion":1,"name":"x"}`)}
		}, "schema 1"},
		{"huge manifest", func(t *testing.T, f *fake) {
			f.documents["latest"] = document{"application/vnd.oci.image.manifest.v1+json", make([]byte, maxManifest+1)}
		}, "larger than"},
		{"manifest and index at once", func(t *testing.T, f *fake) {
			f.documents["latest"] = document{"application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`)}
		}, "at once"},
		{"no manifest", func(t *testing.T, f *fake) {
			f.documents["latest"] = document{"text/html", []byte(`<html>`)}
		}, "invalid character"},
		{"a chart", func(t *testing.T, f *fake) {
			c := f.addBlob([]byte("{}"))
			c.MediaType = "application/vnd.cncf.helm.config.v1+json"
			f.addDocument(t, "latest", manifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.manifest.v1+json", Config: &c})
		}, "no container image"},
		{"layers and diff ids differ", func(t *testing.T, f *fake) {
			c := f.addBlob([]byte(`{"rootfs":{"diff_ids":[]}}`))
			l := f.addBlob(compress(t, good))
			f.addDocument(t, "latest", manifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.manifest.v1+json", Config: &c, Layers: []descriptor{l}})
		}, "1 layers and its config 0"},
		{"unknown", func(*testing.T, *fake) {}, "no such image in the registry"},
		{"an index that leads to itself", func(t *testing.T, f *fake) {
			// No digest can list itself: four levels do.
			d := f.add(t, "deep", layer{tar: good})
			p := hostPlatform()
			for range 5 {
				d.Platform = &p
				d = f.addDocument(t, "latest", manifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []descriptor{d}})
			}
		}, "nested too deep"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, f := newStore(t), newFake(t)
			test.make(t, f)
			_, _, err := pull(t, s, f.name("x"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
			empty(t, s)
		})
	}
}

// Layers that were finished stay when another fails.
func TestFinishedLayersStay(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	good, bad := files(t, "a", "1"), files(t, "b", noise(1000))
	f.add(t, "latest", layer{tar: good}, layer{tar: bad})
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if !strings.HasSuffix(r.URL.Path, store.Digest(compress(t, bad))) {
			return false
		}
		for !s.HasLayer(store.Digest(good)) && r.Context().Err() == nil {
		}
		http.Error(w, "no", http.StatusForbidden)
		return true
	}
	if _, _, err := pull(t, s, f.name("x")); err == nil {
		t.Fatal("a forbidden layer was pulled")
	}
	f.fault = nil
	_, told, err := pull(t, s, f.name("x"))
	must(t, err)
	if told.count(Exists) != 1 || told.count(Complete) != 1 {
		t.Errorf("the finished layer was not kept: %v", told)
	}
	checkClean(t, s)
}

func TestHints(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return true
	}
	_, _, err := pull(t, s, f.name("x"))
	if !errors.Is(err, ErrUnauthorized) || hint(err) != "skiff login "+strings.TrimSuffix(f.name(""), "/") {
		t.Errorf("%v, hint %q", err, hint(err))
	}
	f.Close()
	if _, _, err = pull(t, s, f.name("x")); hint(err) == "" || !strings.Contains(err.Error(), "reaching the registry") {
		t.Errorf("a registry that is down: %v, hint %q", err, hint(err))
	}
	if _, _, err = pull(t, s, "registry.invalid/x"); hint(err) == "" || !strings.Contains(err.Error(), "registry.invalid") {
		t.Errorf("a registry that is not: %v, hint %q", err, hint(err))
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	mine := f.add(t, "mine", layer{tar: files(t, "a", "mine")})
	other := f.add(t, "other", layer{tar: files(t, "a", "other")})
	host := hostPlatform()
	mine.Platform, other.Platform = &host, &platform{OS: "linux", Architecture: "s390x"}
	attestation := other
	attestation.Platform = &platform{OS: "unknown", Architecture: "unknown"}
	f.addDocument(t, "both", manifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []descriptor{attestation, other, mine}})
	f.addDocument(t, "foreign", manifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []descriptor{other}})
	img, _, err := pull(t, s, f.name("x:both"))
	must(t, err)
	if img.Manifest != mine.Digest || img.Digest == mine.Digest {
		t.Errorf("chosen is %s of %s, not %s", img.Manifest, img.Digest, mine.Digest)
	}
	if _, _, err := pull(t, s, f.name("x:foreign")); err == nil || !strings.Contains(err.Error(), "linux/s390x") || hint(err) == "" {
		t.Errorf("%v", err)
	}
	if _, err := Pull(context.Background(), s, PullOptions{Reference: f.name("x:mine"), Platform: "linux/s390x", TLSVerify: true}); err == nil || !strings.Contains(err.Error(), "not linux/s390x") {
		t.Errorf("a plain manifest of another platform: %v", err)
	}
	if _, err := Pull(context.Background(), s, PullOptions{Reference: f.name("x:mine"), Platform: "linux/a/b/c"}); err == nil {
		t.Error("a platform of four parts was taken")
	}
	if _, err := Pull(context.Background(), s, PullOptions{Reference: f.name("x:mine"), Platform: "lunix", TLSVerify: true}); err == nil || !strings.Contains(err.Error(), "unknown operating system or architecture") {
		t.Errorf("a platform that is a word: %v", err)
	}
}

func TestPlatformRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want, have string
		runs       bool
	}{
		{"linux/amd64", "linux/amd64", true}, {"linux/arm64", "linux/arm64/v8", true}, {"linux/arm/v7", "linux/arm/v6", true},
		{"linux/arm/v6", "linux/arm/v7", false}, {"linux/arm64", "linux/arm", false}, {"linux/amd64", "windows/amd64", false},
		{"x86_64", "linux/amd64", true}, {"aarch64", "linux/arm64", true}, {"linux/amd64", "linux/amd64/v3", false},
	} {
		want, err := parsePlatform(test.want)
		must(t, err)
		have, err := parsePlatform(test.have)
		must(t, err)
		if (want.runs(have) > 0) != test.runs {
			t.Errorf("%s runs %s: %v", want, have, !test.runs)
		}
	}
}
