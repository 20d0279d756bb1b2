package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// TestStack is the contract that all drivers keep, each in a user namespace.
func TestStack(t *testing.T) {
	contract := map[string]func(*testing.T, *layers){
		"order": contractOrder, "whiteouts": contractWhiteouts, "opaque": contractOpaque, "types": contractTypes,
		"links": contractLinks, "attributes": contractAttributes, "owners": contractOwners, "rename": contractRename,
		"many": contractMany, "again": contractAgain, "none": contractNone, "twice": contractTwice,
		"root": contractRoot, "odd": contractOddPaths, "driver": contractDriver,
	}
	for _, driver := range []string{Overlay, FuseOverlay, Copy} {
		t.Run(driver, func(t *testing.T) {
			if err := fuseUsable(); driver == FuseOverlay && err != nil {
				t.Skip(err)
			}
			within(t, func(t *testing.T, root string) {
				for name, check := range contract {
					t.Run(name, func(t *testing.T) {
						own := filepath.Join(root, name)
						must(t, os.Mkdir(own, 0o755))
						check(t, &layers{t: t, store: own, driver: driver})
					})
				}
			})
		})
	}
}

// layers builds trees in a store.
type layers struct {
	t      *testing.T
	store  string
	driver string
	count  int
}

// add makes a layer and returns its diff id.
func (l *layers) add(build func(dir string)) string {
	l.t.Helper()
	l.count++
	id := fmt.Sprintf("sha256:%064x", l.count)
	dir := LayerTree(l.store, id)
	must(l.t, os.MkdirAll(dir, 0o755))
	build(dir)
	return id
}

func (l *layers) stack(ids ...string) Stack {
	l.t.Helper()
	dir, err := os.MkdirTemp(l.store, "container-")
	must(l.t, err)
	for _, folder := range []string{"upper", "work", "merged"} {
		must(l.t, os.Mkdir(filepath.Join(dir, folder), 0o755))
	}
	return Stack{Driver: l.driver, Store: l.store, Layers: ids, Dir: dir}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
	}
}

func wantMissing(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there (%v), want it hidden", path, err)
	}
}

func whiteout(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, unix.Mknod(path, unix.S_IFCHR, 0))
}

// mounted mounts the stack, calls body with the root, unmounts and looks for leftovers.
func mounted(t *testing.T, st Stack, body func(t *testing.T, root string)) {
	t.Helper()
	m, err := st.Mount()
	must(t, err)
	body(t, m.Path)
	must(t, m.Unmount())
	if entries, err := os.ReadDir(m.Path); err != nil || len(entries) != 0 {
		t.Errorf("after unmounting %s holds %v (%v)", m.Path, entries, err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	if strings.Contains(string(mounts), m.Path) {
		t.Errorf("after unmounting, /proc/self/mounts names %s", m.Path)
	}
	if m.daemon != nil {
		select {
		case <-m.daemon.ended:
		default:
			t.Error("after unmounting, fuse-overlayfs runs on")
		}
	}
}

func contractOrder(t *testing.T, l *layers) {
	low := l.add(func(d string) { put(t, d+"/low", "low"); put(t, d+"/both", "low"); put(t, d+"/dir/a", "a") })
	high := l.add(func(d string) { put(t, d+"/high", "high"); put(t, d+"/both", "high"); put(t, d+"/dir/b", "b") })
	mounted(t, l.stack(low, high), func(t *testing.T, root string) {
		for path, want := range map[string]string{"low": "low", "high": "high", "both": "high", "dir/a": "a", "dir/b": "b"} {
			wantContent(t, root+"/"+path, want)
		}
		put(t, root+"/both", "mine")
		wantContent(t, root+"/both", "mine")
	})
	wantContent(t, LayerTree(l.store, high)+"/both", "high")
}

func contractWhiteouts(t *testing.T, l *layers) {
	low := l.add(func(d string) { put(t, d+"/file", "x"); put(t, d+"/dir/inside", "x"); put(t, d+"/kept", "x") })
	high := l.add(func(d string) { whiteout(t, d+"/file"); whiteout(t, d+"/dir") })
	again := l.add(func(d string) { put(t, d+"/dir/new", "new") })
	mounted(t, l.stack(low, high), func(t *testing.T, root string) {
		wantMissing(t, root+"/file")
		wantMissing(t, root+"/dir")
		wantContent(t, root+"/kept", "x")
		put(t, root+"/file", "back")
		must(t, os.Remove(root+"/kept"))
		wantContent(t, root+"/file", "back")
		wantMissing(t, root+"/kept")
	})
	mounted(t, l.stack(low, high, again), func(t *testing.T, root string) {
		wantContent(t, root+"/dir/new", "new")
		wantMissing(t, root+"/dir/inside")
	})
}

func contractOpaque(t *testing.T, l *layers) {
	low := l.add(func(d string) { put(t, d+"/dir/old", "x"); put(t, d+"/dir/sub/old", "x") })
	high := l.add(func(d string) {
		put(t, d+"/dir/new", "new")
		must(t, unix.Setxattr(d+"/dir", opaqueAttribute, []byte("y"), 0))
	})
	mounted(t, l.stack(low, high), func(t *testing.T, root string) {
		wantContent(t, root+"/dir/new", "new")
		wantMissing(t, root+"/dir/old")
		wantMissing(t, root+"/dir/sub")
		must(t, os.RemoveAll(root+"/dir"))
		must(t, os.Mkdir(root+"/dir", 0o755))
		wantMissing(t, root+"/dir/new")
	})
}

// contractTypes replaces one type of file by another.
func contractTypes(t *testing.T, l *layers) {
	low := l.add(func(d string) {
		put(t, d+"/file", "x")
		put(t, d+"/dir/inside", "x")
		must(t, os.Symlink("/etc", d+"/link"))
		must(t, unix.Mkfifo(d+"/pipe", 0o640))
	})
	high := l.add(func(d string) {
		put(t, d+"/file/inside", "y")
		put(t, d+"/dir", "y")
		put(t, d+"/link/inside", "y")
	})
	mounted(t, l.stack(low, high), func(t *testing.T, root string) {
		wantContent(t, root+"/file/inside", "y")
		wantContent(t, root+"/dir", "y")
		wantContent(t, root+"/link/inside", "y")
		if info, err := os.Lstat(root + "/pipe"); err != nil || info.Mode() != os.ModeNamedPipe|0o640 {
			t.Errorf("the fifo is %v (%v)", info, err)
		}
	})
}

func contractLinks(t *testing.T, l *layers) {
	low := l.add(func(d string) {
		put(t, d+"/a", "x")
		must(t, os.Link(d+"/a", d+"/b"))
		must(t, os.Symlink("nowhere", d+"/soft"))
	})
	mounted(t, l.stack(low), func(t *testing.T, root string) {
		var a, b unix.Stat_t
		must(t, unix.Stat(root+"/a", &a))
		must(t, unix.Stat(root+"/b", &b))
		if a.Ino != b.Ino || a.Nlink != 2 {
			t.Errorf("hard links have inodes %d and %d, %d names", a.Ino, b.Ino, a.Nlink)
		}
		if to, err := os.Readlink(root + "/soft"); err != nil || to != "nowhere" {
			t.Errorf("the symbolic link leads to %q (%v)", to, err)
		}
		put(t, root+"/new", "x")
		must(t, os.Link(root+"/new", root+"/new2"))
	})
}

func contractAttributes(t *testing.T, l *layers) {
	low := l.add(func(d string) {
		put(t, d+"/file", "x")
		must(t, unix.Setxattr(d+"/file", "user.colour", []byte("blue"), 0))
		must(t, os.Chmod(d+"/file", 0o751|os.ModeSetuid))
		must(t, os.Mkdir(d+"/tmp", 0o755))
		must(t, os.Chmod(d+"/tmp", 0o777|os.ModeSticky))
		times := []unix.Timespec{{Sec: 1000, Nsec: 5}, {Sec: 2000, Nsec: 7}}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, d+"/file", times, 0))
	})
	mounted(t, l.stack(low), func(t *testing.T, root string) {
		value := make([]byte, 16)
		if n, err := unix.Getxattr(root+"/file", "user.colour", value); err != nil || string(value[:max(n, 0)]) != "blue" {
			t.Errorf("the attribute is %q (%v)", value[:max(n, 0)], err)
		}
		info, err := os.Stat(root + "/file")
		must(t, err)
		if info.Mode() != 0o751|os.ModeSetuid || info.ModTime().UnixNano() != 2000*1e9+7 {
			t.Errorf("the file has mode %v, time %v", info.Mode(), info.ModTime())
		}
		if info, err := os.Stat(root + "/tmp"); err != nil || info.Mode() != os.ModeDir|0o777|os.ModeSticky {
			t.Errorf("tmp has %v (%v)", info.Mode(), err)
		}
		must(t, unix.Setxattr(root+"/file", "user.colour", []byte("red"), 0))
		if n, err := unix.Getxattr(root+"/file", "user.colour", value); err != nil || string(value[:max(n, 0)]) != "red" {
			t.Errorf("the attribute is %q (%v) after it was set", value[:max(n, 0)], err)
		}
	})
}

// contractOwners uses ids of the subordinate range.
func contractOwners(t *testing.T, l *layers) {
	needOwners(t)
	low := l.add(func(d string) {
		put(t, d+"/file", "x")
		must(t, os.Chown(d+"/file", 33, 44))
		must(t, os.Mkdir(d+"/secret", 0o700))
		put(t, d+"/secret/key", "k")
		must(t, os.Chown(d+"/secret", 1000, 1000))
		must(t, os.Chown(d+"/secret/key", 1000, 1000))
		must(t, os.Symlink("x", d+"/soft"))
		must(t, os.Lchown(d+"/soft", 33, 44))
	})
	mounted(t, l.stack(low), func(t *testing.T, root string) {
		owner := func(name string, uid, gid uint32) {
			t.Helper()
			var st unix.Stat_t
			if err := unix.Lstat(root+"/"+name, &st); err != nil || st.Uid != uid || st.Gid != gid {
				t.Errorf("%s belongs to %d:%d (%v), want %d:%d", name, st.Uid, st.Gid, err, uid, gid)
			}
		}
		owner("file", 33, 44)
		owner("soft", 33, 44)
		owner("secret", 1000, 1000)
		owner("secret/key", 1000, 1000)
		must(t, os.WriteFile(root+"/secret/key", []byte("other"), 0))
		owner("secret/key", 1000, 1000)
		must(t, os.Chown(root+"/file", 65535, 7))
		owner("file", 65535, 7)
	})
}

func contractRename(t *testing.T, l *layers) {
	low := l.add(func(d string) { put(t, d+"/dir/file", "x"); put(t, d+"/file", "f") })
	mounted(t, l.stack(low), func(t *testing.T, root string) {
		must(t, os.Rename(root+"/file", root+"/file2"))
		wantMissing(t, root+"/file")
		wantContent(t, root+"/file2", "f")
		// A folder of a lower layer: overlayfs without redirects says EXDEV, and mv(1) copies then.
		if err := os.Rename(root+"/dir", root+"/dir2"); err != nil && !errors.Is(err, unix.EXDEV) {
			t.Error(err)
		} else if err != nil {
			must(t, exec.Command("mv", root+"/dir", root+"/dir2").Run())
		}
		wantMissing(t, root+"/dir")
		wantContent(t, root+"/dir2/file", "x")
		put(t, root+"/own/file", "o")
		must(t, os.Rename(root+"/own", root+"/own2"))
		wantContent(t, root+"/own2/file", "o")
	})
}

func contractMany(t *testing.T, l *layers) {
	var ids []string
	for i := range 300 {
		ids = append(ids, l.add(func(d string) { put(t, d+"/top", fmt.Sprint(i)); put(t, fmt.Sprintf("%s/dir/%d", d, i), "x") }))
	}
	for _, count := range []int{1, 41, 100, 300} {
		mounted(t, l.stack(ids[:count]...), func(t *testing.T, root string) {
			wantContent(t, root+"/top", fmt.Sprint(count-1))
			if entries, err := os.ReadDir(root + "/dir"); err != nil || len(entries) != count {
				t.Errorf("%d of %d layers are seen (%v)", len(entries), count, err)
			}
		})
	}
}

// contractAgain mounts the same upper directory a second time, as a restart does.
func contractAgain(t *testing.T, l *layers) {
	low := l.add(func(d string) { put(t, d+"/a", "x"); put(t, d+"/gone", "x"); put(t, d+"/dir/inside", "x") })
	st := l.stack(low)
	mounted(t, st, func(t *testing.T, root string) {
		put(t, root+"/a", "mine")
		must(t, os.Remove(root+"/gone"))
		must(t, os.RemoveAll(root+"/dir"))
		put(t, root+"/dir/new", "n")
		must(t, os.Chmod(root, 0o711))
	})
	for range 3 {
		mounted(t, st, func(t *testing.T, root string) {
			wantContent(t, root+"/a", "mine")
			wantMissing(t, root+"/gone")
			wantMissing(t, root+"/dir/inside")
			wantContent(t, root+"/dir/new", "n")
			if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o711 {
				t.Errorf("the root has mode %v (%v), want what it was set to", info.Mode(), err)
			}
		})
	}
}

func contractNone(t *testing.T, l *layers) {
	mounted(t, l.stack(), func(t *testing.T, root string) {
		put(t, root+"/file", "x")
		wantContent(t, root+"/file", "x")
	})
}

// contractTwice has one layer below and above another, as images from scripts do.
func contractTwice(t *testing.T, l *layers) {
	one := l.add(func(d string) { put(t, d+"/file", "one") })
	two := l.add(func(d string) { put(t, d+"/file", "two") })
	mounted(t, l.stack(one, two, one), func(t *testing.T, root string) { wantContent(t, root+"/file", "one") })
}

func contractRoot(t *testing.T, l *layers) {
	needOwners(t)
	low := l.add(func(d string) {})
	high := l.add(func(d string) {
		must(t, os.Chown(d, 5, 6))
		must(t, os.Chmod(d, 0o755|os.ModeSetgid))
	})
	mounted(t, l.stack(low, high), func(t *testing.T, root string) {
		var st unix.Stat_t
		must(t, unix.Stat(root, &st))
		if st.Mode&0o7777 != 0o2755 || st.Uid != 5 || st.Gid != 6 {
			t.Errorf("the root has mode %o and belongs to %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
		}
	})
}

// contractOddPaths has what separates options and layers in the store's own path.
func contractOddPaths(t *testing.T, l *layers) {
	l.store += "/a:b,c\\d e"
	low := l.add(func(d string) { put(t, d+"/file", "x") })
	if st := l.stack(low); l.driver == FuseOverlay {
		var host *userns.HostError
		if _, err := st.Mount(); !errors.As(err, &host) || host.Hint == "" {
			t.Errorf("mounting below a colon: %v, want a hint", err)
		}
		return
	}
	mounted(t, l.stack(low), func(t *testing.T, root string) { wantContent(t, root+"/file", "x") })
}

// contractDriver: the first mount decides, whatever is asked for later.
func contractDriver(t *testing.T, l *layers) {
	st := l.stack(l.add(func(d string) { put(t, d+"/file", "x") }))
	mounted(t, st, func(t *testing.T, root string) { must(t, os.Remove(root+"/file")) })
	other := []string{Overlay, Copy}
	st.Driver = other[(slices.Index(other, st.Driver)+1)%2]
	m, err := st.Mount()
	must(t, err)
	if m.Driver != l.driver {
		t.Errorf("the second mount took %s", m.Driver)
	}
	wantMissing(t, m.Path+"/file")
	must(t, m.Unmount())
}

// A volatile stack can be mounted again although the mark of the first mount is there.
func TestVolatileTwice(t *testing.T) {
	within(t, func(t *testing.T, root string) {
		l := &layers{t: t, store: root, driver: Overlay}
		st := l.stack(l.add(func(d string) { put(t, d+"/file", "x") }))
		st.Volatile = true
		for range 2 {
			mounted(t, st, func(t *testing.T, root string) {
				mounts, err := os.ReadFile("/proc/self/mounts")
				must(t, err)
				if !strings.Contains(string(mounts), "volatile") {
					t.Errorf("the mount is not volatile:\n%s", mounts)
				}
				put(t, root+"/other", "x")
			})
		}
	})
}

// A second mount of one upper directory is refused while the first is there.
func TestSecondMountOfOneUpper(t *testing.T) {
	within(t, func(t *testing.T, root string) {
		l := &layers{t: t, store: root, driver: Overlay}
		st := l.stack(l.add(func(d string) { put(t, d+"/file", "x") }))
		mounted(t, st, func(t *testing.T, root string) {
			folders, err := st.folders()
			must(t, err)
			defer folders.close()
			must(t, os.Mkdir(st.Dir+"/second", 0o755))
			all := folders.all()
			options := "userxattr,index=on," + folders.options(func(i int) int { return int(all[i].Fd()) })
			if err := unix.Mount("overlay", st.Dir+"/second", "overlay", 0, options); !errors.Is(err, unix.EBUSY) {
				t.Errorf("a second mount of one upper directory: %v, want EBUSY", err)
			}
		})
	})
}
