package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/skiff-containers/skiff/userns"
)

// A store that somebody else has prepared, or may change, is not used: its shim's
// program would be executed, for one.
func TestStoreOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	refused := func(root string) {
		t.Helper()
		var host *userns.HostError
		if _, err := Open(root); !errors.As(err, &host) || host.Hint == "" {
			t.Errorf("%s: %v", root, err)
		}
	}
	for _, mode := range []os.FileMode{0o777, 0o1777, 0o775, 0o722} {
		fresh := filepath.Join(t.TempDir(), "fresh")
		must(t, os.Mkdir(fresh, 0o700))
		must(t, os.Chmod(fresh, mode))
		refused(fresh)
		if left, err := os.ReadDir(fresh); err != nil || len(left) > 0 {
			t.Errorf("%v was made, %v", left, err)
		}
		used := newStore(t).Root
		must(t, os.Chmod(used, mode))
		refused(used)
		must(t, os.Chmod(used, 0o700))
	}
	if os.Geteuid() != 0 {
		refused("/usr") // root's
		return
	}
	used := newStore(t).Root
	must(t, os.Chown(used, 65534, 65534))
	refused(used)
	must(t, os.Chown(used, 0, 0))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Chown(used, 65534, -1))
	must(t, os.Symlink(used, link))
	refused(link)
	must(t, os.Chown(used, 0, -1))
}
