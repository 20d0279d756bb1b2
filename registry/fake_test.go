package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/skiff-containers/skiff/store"
)

// fake is a registry that misbehaves as a test tells it.
type fake struct {
	*httptest.Server
	sync.Mutex
	documents map[string]document // manifests by tag and digest
	blobs     map[string][]byte
	requests  []string // "GET /v2/…", with the Range where there is one
	// fault may answer a request in the registry's place; attempt counts from 1 for each path.
	fault    func(w http.ResponseWriter, r *http.Request, attempt int) bool
	attempts map[string]int
}

type document struct {
	kind string
	data []byte
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{documents: map[string]document{}, blobs: map[string][]byte{}, attempts: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// name is a reference to a repository of this registry.
func (f *fake) name(repository string) string {
	return strings.TrimPrefix(f.URL, "http://") + "/" + repository
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Lock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	f.attempts[r.URL.Path]++
	attempt, fault := f.attempts[r.URL.Path], f.fault
	f.Unlock()
	if fault != nil && fault(w, r, attempt) {
		return
	}
	name := path.Base(r.URL.Path)
	kind := path.Base(path.Dir(r.URL.Path))
	if r.URL.Path == "/v2/" {
		kind = ""
	}
	switch kind {
	case "":
	case "manifests":
		d, ok := f.documents[name]
		if !ok {
			http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", d.kind)
		w.Write(d.data)
	case "blobs":
		f.blob(w, r, f.blobs[name])
	}
}

func (f *fake) blob(w http.ResponseWriter, r *http.Request, data []byte) {
	if data == nil {
		http.Error(w, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}`, http.StatusNotFound)
		return
	}
	from := 0
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(data[from:])
}

// isBlob tells requests for layers and configs.
func isBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }

// cut answers with the first n bytes of a blob and breaks the connection.
func (f *fake) cut(w http.ResponseWriter, r *http.Request, n int) {
	data := f.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Write(data[:min(n, len(data))])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// asked counts the requests for paths that contain text.
func (f *fake) asked(text string) int {
	f.Lock()
	defer f.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.Contains(r, text) {
			n++
		}
	}
	return n
}

// layer is one layer of an image to be served.
type layer struct {
	tar    []byte
	blob   []byte // what is served; nil is tar, gzipped
	diffID string // what the config says; "" is the truth
}

func (f *fake) addBlob(data []byte) descriptor {
	digest := store.Digest(data)
	f.blobs[digest] = data
	return descriptor{Digest: digest, Size: int64(len(data))}
}

// add serves an image under a tag and returns its manifest.
func (f *fake) add(t *testing.T, tag string, layers ...layer) descriptor {
	t.Helper()
	config := imageConfig{platform: hostPlatform()}
	m := manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for _, l := range layers {
		if l.blob == nil {
			l.blob = compress(t, l.tar)
		}
		if l.diffID == "" {
			l.diffID = store.Digest(l.tar)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		d := f.addBlob(l.blob)
		d.MediaType = types.OCILayer
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(config)
	must(t, err)
	c := f.addBlob(raw)
	c.MediaType = types.OCIConfigJSON
	m.Config = &c
	return f.addDocument(t, tag, m)
}

func (f *fake) addDocument(t *testing.T, tag string, m manifest) descriptor {
	t.Helper()
	raw, err := json.Marshal(m)
	must(t, err)
	digest := store.Digest(raw)
	f.documents[tag], f.documents[digest] = document{string(m.MediaType), raw}, document{string(m.MediaType), raw}
	return descriptor{MediaType: m.MediaType, Digest: digest, Size: int64(len(raw))}
}

func compress(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(data)
	must(t, err)
	must(t, z.Close())
	return out.Bytes()
}

// files packs files of the given contents; a name that ends in a slash is a folder.
func files(t *testing.T, nameAndContent ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(nameAndContent); i += 2 {
		name, content := nameAndContent[i], nameAndContent[i+1]
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}
		if strings.HasSuffix(name, "/") {
			h = &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
			if content != "" {
				mode, err := strconv.ParseInt(content, 8, 64)
				must(t, err)
				h.Mode, content = mode, ""
			}
		}
		must(t, w.WriteHeader(h))
		_, err := w.Write([]byte(content))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}
