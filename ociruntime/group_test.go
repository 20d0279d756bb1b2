package ociruntime

import (
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A control group that stands empty, as its container has stopped, may be given to another one,
// which the end of the first does not concern.
func TestDeleteSparesWhoHasTheGroupNow(t *testing.T) {
	for name, change := range map[string]func(first *container, second *Runtime){
		"same root":                   func(*container, *Runtime) {},
		"same root, no PID namespace": func(first *container, _ *Runtime) { drop(first.spec, specs.PIDNamespace) },
		"another root": func(first *container, second *Runtime) {
			second.Root = filepath.Join(first.t.TempDir(), "runtime")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, "exec sleep 1000")
			second := *c.runtime
			change(c, &second)
			c.create()
			must(t, c.runtime.Start("test"))
			first, err := c.runtime.Open("test")
			must(t, err)
			if m, err := first.group(); err != nil || m == nil || !m.Exists() {
				t.Skip("no control group for this user")
			}
			must(t, c.runtime.Kill("test", unix.SIGKILL, false))
			c.await(specs.StateStopped)
			o := c.options
			o.ID = "second"
			started, err := second.Run(&o)
			must(t, err)
			t.Cleanup(func() {
				if err := second.Delete("second", true); err != nil {
					t.Error(err)
				}
				started.Process.Wait()
			})
			if pids, err := c.runtime.Processes("test"); err != nil || len(pids) > 0 {
				t.Errorf("the first has %v, %v", pids, err)
			}
			must(t, c.runtime.Kill("test", unix.SIGKILL, true))
			must(t, c.runtime.Delete("test", false))
			opened, err := second.Open("second")
			must(t, err)
			if status, err := opened.status(); err != nil || status != specs.StateRunning {
				t.Fatalf("the second is %s, %v", status, err)
			}
			if pids, err := second.Processes("second"); err != nil || len(pids) == 0 {
				t.Errorf("the second has %v, %v", pids, err)
			}
			if m, err := opened.group(); err != nil || m == nil || !m.Exists() {
				t.Errorf("its control group is gone: %v", err)
			}
		})
	}
}
