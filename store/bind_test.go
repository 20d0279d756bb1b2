package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// hostFolder is a folder as --rootfs names one, and a container's own beside it.
func hostFolder(t *testing.T, root string) (base, dir string) {
	base, dir = filepath.Join(root, "base"), filepath.Join(root, "container")
	put(t, filepath.Join(base, "etc/file"), "the user's")
	for _, folder := range []string{"upper", "work", "merged"} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	return base, dir
}

// A folder of the host's is shown as it is, with what is mounted in it, and is the
// same when it has been taken away.
func TestBindDriver(t *testing.T) {
	within(t, func(t *testing.T, root string) {
		base, dir := hostFolder(t, root)
		must(t, os.Mkdir(filepath.Join(base, "disk"), 0o755))
		must(t, unix.Mount("tmpfs", filepath.Join(base, "disk"), "tmpfs", 0, ""))
		put(t, filepath.Join(base, "disk/on"), "it")
		m, err := Stack{Driver: Bind, Store: root, Base: base, Dir: dir}.Mount()
		must(t, err)
		wantContent(t, filepath.Join(m.Path, "etc/file"), "the user's")
		wantContent(t, filepath.Join(m.Path, "disk/on"), "it")
		put(t, filepath.Join(m.Path, "written"), "inside")
		must(t, m.Unmount())
		wantContent(t, filepath.Join(base, "written"), "inside")
		wantMissing(t, filepath.Join(dir, "merged/etc"))
		wantMissing(t, filepath.Join(dir, "upper/written"))
	})
}

// Below layers, or without any, a folder of the host's is only read.
func TestBaseIsOnlyRead(t *testing.T) {
	within(t, func(t *testing.T, root string) {
		base, dir := hostFolder(t, root)
		m, err := Stack{Driver: Copy, Store: root, Base: base, Dir: dir}.Mount()
		must(t, err)
		wantContent(t, filepath.Join(m.Path, "etc/file"), "the user's")
		must(t, os.WriteFile(filepath.Join(m.Path, "etc/file"), []byte("the container's"), 0o644))
		must(t, m.Unmount())
		wantContent(t, filepath.Join(base, "etc/file"), "the user's")
	})
}

// Whatever goes wrong with taking a mount away: what is mounted is not deleted.
func TestRemoveTreeEntersNoMount(t *testing.T) {
	within(t, func(t *testing.T, root string) {
		base, dir := hostFolder(t, root)
		must(t, unix.Mount(base, filepath.Join(dir, "merged"), "", unix.MS_BIND, ""))
		folder, err := os.Open(root)
		must(t, err)
		defer folder.Close()
		if err := removeTree(folder, "container"); !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EBUSY) {
			t.Errorf("removing a tree with a mount in it gives %v", err)
		}
		wantContent(t, filepath.Join(base, "etc/file"), "the user's")
	})
}
