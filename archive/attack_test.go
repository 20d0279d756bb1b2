package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// rounds is how often a copy is tried against somebody who changes the tree all the while.
const rounds = 3000

// attacked is a tree in a folder whose other content must neither be seen nor changed.
type attacked struct {
	outside, root string
	tree          *Tree
}

func newAttacked(t *testing.T) *attacked {
	a := &attacked{outside: t.TempDir()}
	a.root = filepath.Join(a.outside, "root")
	lay(t, a.outside, "secret=outside", "folder/secret=outside", "root/folder/secret=inside", "root/")
	a.tree = newTree(t, a.root)
	return a
}

// intact checks that nothing outside was made or changed.
func (a *attacked) intact(t *testing.T) {
	t.Helper()
	for folder, want := range map[string]int{a.outside: 3, filepath.Join(a.outside, "folder"): 1} {
		entries, err := os.ReadDir(folder)
		must(t, err)
		if len(entries) != want {
			t.Fatalf("outside of the tree there is %v", entries)
		}
	}
	for _, name := range []string{"secret", "folder/secret"} {
		data, err := os.ReadFile(filepath.Join(a.outside, name))
		must(t, err)
		info, err := os.Stat(filepath.Join(a.outside, name))
		must(t, err)
		if string(data) != "outside" || info.Mode() != 0o644 {
			t.Fatalf("%s was changed: %v %q", name, info.Mode(), data)
		}
	}
}

// swap exchanges two names until stop is called, as fast as the kernel can.
func swap(t *testing.T, one, other string) (stop func()) {
	var done atomic.Bool
	var working sync.WaitGroup
	working.Go(func() {
		for !done.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
				t.Errorf("exchanging: %v", err)
				return
			}
		}
	})
	return func() { done.Store(true); working.Wait() }
}

// The links that an attacker has ready: they lead out unless the root is the tree's.
func (a *attacked) links() []string {
	return []string{filepath.Join(a.outside, "folder"), "../folder", "../../../../../../../.." + filepath.Join(a.outside, "folder"), "/proc/self/cwd/" + strings.Repeat("../", 20) + a.outside + "/folder"}
}

// CVE-2018-15664: a directory on the way becomes a link while it is looked up.
func TestPathIsSwapped(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		a := newAttacked(t)
		target := a.links()[i]
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			lay(t, a.root, "way/secret=inside", "link->"+target)
			stop := swap(t, filepath.Join(a.root, "way"), filepath.Join(a.root, "link"))
			defer stop()
			for range rounds {
				var out bytes.Buffer
				if _, err := a.tree.Pack(PackOptions{Path: "/way/secret", Name: "x"}, &out); err == nil && strings.Contains(out.String(), "outside") {
					t.Fatal("a file outside of the tree was packed")
				}
				out.Reset()
				if _, err := a.tree.Pack(PackOptions{Path: "/way/", Name: "x"}, &out); err == nil && strings.Contains(out.String(), "outside") {
					t.Fatal("a folder outside of the tree was packed")
				}
				if info, err := a.tree.Stat("/way/secret", true); err == nil && info.Size != int64(len("inside")) {
					t.Fatal("a file outside of the tree was looked at")
				}
			}
			for range rounds / 10 {
				a.tree.Extract(ExtractOptions{Into: "/way"}, bytes.NewReader(planted(t)))
				a.tree.Extract(ExtractOptions{Into: "/"}, bytes.NewReader(plantedIn(t, "way/")))
				a.intact(t)
			}
		})
	}
}

// A directory becomes a link between its listing and its opening.
func TestEntryIsSwapped(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	lay(t, a.root, "top/way/secret=inside", "link->"+filepath.Join(a.outside, "folder"))
	stop := swap(t, filepath.Join(a.root, "top", "way"), filepath.Join(a.root, "link"))
	defer stop()
	for range rounds {
		var out bytes.Buffer
		if _, err := a.tree.Pack(PackOptions{Path: "/top", Name: "x"}, &out); err == nil && strings.Contains(out.String(), "\x00outside") {
			t.Fatal("a folder outside of the tree was packed")
		}
	}
	// A mode and an owner are set to what was made, and to nothing that took its place.
	for range rounds / 10 {
		a.tree.Extract(ExtractOptions{Into: "/top"}, bytes.NewReader(plantedIn(t, "way/")))
		a.intact(t)
		if info, err := os.Stat(filepath.Join(a.outside, "folder")); err != nil || info.Mode().Perm() != 0o755 {
			t.Fatalf("the folder outside was changed: %v %v", info.Mode(), err)
		}
	}
}

// What comes out of a container goes nowhere but beneath the folder that was named, and
// gives nobody rights, whatever its archive says.
func TestHostileArchiveOnHost(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string]func(a *attacked) []entry{
		"a link and a file through it": func(*attacked) []entry {
			return []entry{{name: "l", link: "../folder"}, {name: "l/planted", content: "x"}}
		},
		"an absolute link": func(a *attacked) []entry {
			return []entry{{name: "l", link: a.outside}, {name: "l/planted", content: "x"}}
		},
		"dots": func(*attacked) []entry { return []entry{{name: "../planted", content: "x"}} },
		"a hard link out": func(*attacked) []entry {
			return []entry{{name: "h", hard: "../secret"}, {name: "h", content: "changed"}}
		},
		"a hard link by a link": func(*attacked) []entry {
			return []entry{{name: "l", link: ".."}, {name: "h", hard: "l/secret"}, {name: "h", content: "changed"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttacked(t)
			ExtractHost(a.tree, ExtractOptions{}, bytes.NewReader(write(t, entries(a)...)))
			a.intact(t)
		})
	}
	a := newAttacked(t)
	_, err := ExtractHost(a.tree, ExtractOptions{}, bytes.NewReader(write(t, entry{name: "rooted", content: "x", mode: 0o6755})))
	must(t, err)
	if info, err := os.Stat(filepath.Join(a.root, "rooted")); err != nil || info.Mode() != 0o755 {
		t.Errorf("set-id bits came along: %v %v", info.Mode(), err)
	}
}
