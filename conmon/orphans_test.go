package conmon

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// In the host's PID namespace the container's orphans are the shim's to end. The server of its
// root file system, which is the shim's child as well, is none of them: what others have written
// and not yet closed would be lost with it.
func TestServerOfTheRootIsNoOrphan(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath(store.FuseOverlay); err != nil || unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
		t.Skip("fuse-overlayfs cannot be used")
	}
	c := create(t, "sh -c '{ echo written; sleep 1000; } | cat >/tmp/last; true' & until test -s /tmp/last; do sleep 0.01; done", func(spec *specs.Spec, s *Setup) {
		attached(spec, s)
		s.Stack.Driver = store.FuseOverlay
		spec.Linux.Namespaces = spec.Linux.Namespaces[1:]
	})
	if _, stderr, exited := collect(t, c.start(t, [3]*os.File{})); exited.Code != 0 {
		t.Errorf("%+v: %s", exited, stderr)
	}
	data, err := os.ReadFile(filepath.Join(c.Dir, "upper/tmp/last"))
	if err != nil || string(data) != "written\n" {
		t.Errorf("%q was kept, %v", data, err)
	}
}
