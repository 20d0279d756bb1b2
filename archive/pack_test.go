package archive

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

func pack(t testing.TB, tree *Tree, o PackOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	_, err := tree.Pack(o, &out)
	must(t, err)
	return out.Bytes()
}

// copyTo packs a path of one tree and unpacks it in another.
func copyTo(t testing.TB, from *Tree, o PackOptions, to *Tree, into string) {
	t.Helper()
	_, err := to.Extract(ExtractOptions{Into: into, KeepOwners: os.Geteuid() == 0}, bytes.NewReader(pack(t, from, o)))
	must(t, err)
}

// What a file is comes along: links, modes, times, attributes, and who has two names.
func TestCopyKeepsWhatFilesAre(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), t.TempDir()
	lay(t, source, "d/file=text", "d/sub/", "d/soft->sub/nowhere", "d/empty=")
	when := time.Unix(1_600_000_000, 123_456_789)
	must(t, os.Link(filepath.Join(source, "d/file"), filepath.Join(source, "d/twin")))
	must(t, os.Chmod(filepath.Join(source, "d/file"), 0o640|os.ModeSetuid))
	must(t, unix.Mkfifo(filepath.Join(source, "d/pipe"), 0o600))
	attribute := unix.Setxattr(filepath.Join(source, "d/file"), "user.word", []byte("a\x00b"), 0)
	must(t, os.Chtimes(filepath.Join(source, "d/file"), when, when))
	must(t, os.Chtimes(filepath.Join(source, "d/sub"), when, when))
	copyTo(t, newTree(t, source), PackOptions{Path: "/d", Name: "e"}, newTree(t, target), "/")

	at := func(name string) string { return filepath.Join(target, "e", name) }
	info, err := os.Stat(at("file"))
	must(t, err)
	mode := 0o640 | os.ModeSetuid
	if os.Geteuid() != 0 { // who may not give files to root gives nobody root's rights
		mode = 0o640
	}
	if info.Mode() != mode || !info.ModTime().Equal(when) {
		t.Errorf("the file has %v %v", info.Mode(), info.ModTime())
	}
	if twin, err := os.Stat(at("twin")); err != nil || !os.SameFile(info, twin) {
		t.Errorf("the second name is another file: %v", err)
	}
	if sub, err := os.Stat(at("sub")); err != nil || !sub.ModTime().Equal(when) {
		t.Errorf("the folder's time is lost: %v", err)
	}
	if link, err := os.Readlink(at("soft")); link != "sub/nowhere" {
		t.Errorf("the link leads to %q (%v)", link, err)
	}
	if pipe, err := os.Lstat(at("pipe")); err != nil || pipe.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe is %v (%v)", pipe, err)
	}
	if attribute == nil {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(at("file"), "user.word", value); err != nil || string(value[:n]) != "a\x00b" {
			t.Errorf("the attribute is %q (%v)", value[:max(n, 0)], err)
		}
	}
}

// Directories that their owner may not write to, or not even look into, come along
// with what is in them.
func TestClosedDirectories(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), t.TempDir()
	lay(t, source, "d/read/below/file=text", "d/none/")
	when := time.Unix(1_600_000_000, 0)
	must(t, os.Chtimes(filepath.Join(source, "d/read"), when, when))
	data := pack(t, newTree(t, source), PackOptions{Path: "/d", Name: "d"})
	data = rewrite(t, data, func(h *tar.Header) {
		switch h.Name {
		case "d/read/", "d/read/below/":
			h.Mode = 0o555
		case "d/none/":
			h.Mode = 0
		}
	})
	into := newTree(t, target)
	for range 2 { // the second finds them there
		_, err := into.Extract(ExtractOptions{Into: "/"}, bytes.NewReader(data))
		must(t, err)
		for name, want := range map[string]os.FileMode{"d/read": 0o555, "d/read/below": 0o555, "d/none": 0} {
			info, err := os.Stat(filepath.Join(target, name))
			must(t, err)
			if info.Mode().Perm() != want || name == "d/read" && !info.ModTime().Equal(when) {
				t.Errorf("%s has %v %v, want %v", name, info.Mode(), info.ModTime(), want)
			}
		}
		must(t, os.Chmod(filepath.Join(target, "d/none"), 0o700)) // so that it can be opened, and deleted
	}
	for _, name := range []string{"d/read", "d/read/below"} {
		must(t, os.Chmod(filepath.Join(target, name), 0o755))
	}
}

// rewrite makes an archive anew with other headers.
func rewrite(t *testing.T, data []byte, change func(*tar.Header)) []byte {
	t.Helper()
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(data)), tar.NewWriter(&out)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		change(h)
		must(t, w.WriteHeader(h))
		_, err = io.Copy(w, r)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// A file of which most is a hole costs an archive what it holds, and has holes again.
func TestHolesStayHoles(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), t.TempDir()
	const size = 3 << 30
	f, err := os.Create(filepath.Join(source, "sparse"))
	must(t, err)
	must(t, f.Truncate(size))
	for _, at := range []int64{0, 2 << 30, size - 3} {
		_, err = f.WriteAt([]byte("abc"), at)
		must(t, err)
	}
	must(t, f.Close())
	lay(t, source, "after=text")
	must(t, os.Truncate(filepath.Join(source, "after"), 1<<20)) // ends with a hole
	tree := newTree(t, source)
	data := pack(t, tree, PackOptions{Path: "/", Name: "."})
	if len(data) > 1<<20 {
		t.Fatalf("the archive has %d bytes", len(data))
	}
	_, err = newTree(t, target).Extract(ExtractOptions{}, bytes.NewReader(data))
	must(t, err)
	info, err := os.Stat(filepath.Join(target, "sparse"))
	must(t, err)
	if info.Size() != size {
		t.Errorf("it has %d bytes", info.Size())
	}
	out, err := os.Open(filepath.Join(target, "sparse"))
	must(t, err)
	defer out.Close()
	for _, at := range []int64{0, 2 << 30, size - 3} {
		text := make([]byte, 3)
		if _, err := out.ReadAt(text, at); err != nil || string(text) != "abc" {
			t.Errorf("at %d there is %q (%v)", at, text, err)
		}
	}
	if after, err := os.ReadFile(filepath.Join(target, "after")); err != nil || len(after) != 1<<20 || string(after[:4]) != "text" || !bytes.Equal(after[4:], make([]byte, 1<<20-4)) {
		t.Errorf("the file with a hole at its end: %d bytes (%v)", len(after), err)
	}
	if tar, err := exec.LookPath("tar"); err == nil {
		cmd := exec.Command(tar, "tvf", "-")
		cmd.Stdin = bytes.NewReader(data)
		list, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(list), "3221225472") {
			t.Errorf("tar says (%v):\n%s", err, list)
		}
	}
}

// An archive is the same whenever it is made of the same files.
func TestOrderIsFixed(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	lay(t, source, "b=2", "a/z=1", "a/y=1", "c=3")
	all, _ := headers(t, pack(t, newTree(t, source), PackOptions{Path: "/", Name: ".", Inside: true}))
	var names []string
	for _, h := range all {
		names = append(names, h.Name)
	}
	if want := []string{"a/", "a/y", "a/z", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("have %q, want %q", names, want)
	}
}

// Owners are called what the container calls them.
func TestOwnersAreNamed(t *testing.T) {
	t.Parallel()
	shifted := &userns.Mapping{UIDs: []userns.IDMap{{Inside: 0, Outside: 1, Size: 1000}, {Inside: 1000, Outside: 0, Size: 1}}, GIDs: []userns.IDMap{{Inside: 0, Outside: 1, Size: 65536}}}
	ids := IDs{shifted}
	for real, want := range map[uint32]int{0: 1000, 1: 0, 500: 499, 5000: nobody} {
		if uid, _ := ids.Named(real, 1); uid != want {
			t.Errorf("%d is called %d, not %d", real, uid, want)
		}
	}
	if uid, gid := ids.Real(1000, 0); uid != 0 || gid != 1 {
		t.Errorf("1000:0 is %d:%d", uid, gid)
	}
	if uid, gid := ids.Root(); uid != 1 || gid != 1 {
		t.Errorf("root is %d:%d", uid, gid)
	}
	if uid, gid := (IDs{}).Root(); uid != 0 || gid != 0 {
		t.Errorf("without a mapping root is %d:%d", uid, gid)
	}
}

// A file that loses bytes while it is read is filled up: the archive stays one.
func TestFileBecomesShorter(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	path := filepath.Join(source, "log")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 3<<20), 0o644))
	var out bytes.Buffer
	packed, err := newTree(t, source).Pack(PackOptions{Path: "/log", Name: "log"}, &cutter{&out, path})
	must(t, err)
	all, _ := headers(t, out.Bytes())
	if len(all) != 1 || all[0].Size != 3<<20 || packed.Short != 1 {
		t.Errorf("%d entries, %d short", len(all), packed.Short)
	}
}

// cutter takes a file's content away as soon as some of it was written.
type cutter struct {
	*bytes.Buffer
	path string
}

func (c *cutter) Write(p []byte) (int, error) {
	os.Truncate(c.path, 0)
	return c.Buffer.Write(p)
}
