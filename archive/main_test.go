package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	unix.Umask(0)
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTree opens a folder as a tree.
func newTree(t testing.TB, path string) *Tree {
	t.Helper()
	root, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	tree, err := NewTree(root, nil)
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// lay makes files below root: "dir/", "file=content", "link->target".
func lay(t testing.TB, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		name, content, isFile := bytes.Cut([]byte(f), []byte("="))
		link, target, isLink := bytes.Cut([]byte(f), []byte("->"))
		path := filepath.Join(root, string(name))
		switch {
		case isLink:
			must(t, os.Symlink(string(target), filepath.Join(root, string(link))))
		case isFile:
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, content, 0o644))
		default:
			must(t, os.MkdirAll(path, 0o755))
		}
	}
}

// headers reads an archive's entries and their content.
func headers(t testing.TB, data []byte) (all []*tar.Header, content map[string]string) {
	t.Helper()
	content = map[string]string{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, content
		}
		must(t, err)
		all = append(all, h)
		if h.Size < 1<<20 {
			text, err := io.ReadAll(r)
			must(t, err)
			content[h.Name] = string(text)
		}
	}
}
