package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/skiff-containers/skiff/internal/fixture"
)

// TestScripts runs the scripts of testdata/script in parallel: each with a home,
// a store and a runtime folder of its own, against one registry on the loopback
// interface. $SKIFF_BIN is the skiff they try; without it one is built.
//
// A script finds $REGISTRY (host:port, images as fixture.Images tells, and where
// the condition [net] holds that of fixture.NetImage) and
// $PRIVATE, a registry that asks for $USERNAME and $PASSWORD. Beside testscript's
// own commands it has those of script_commands_test.go. When it has ended nothing
// of it may be left: see script_leaks_test.go.
func TestScripts(t *testing.T) {
	program := skiff(t)
	missing := lacking(t)
	registry, private := registries(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands(),
		Condition:           func(name string) (bool, error) { return condition(name, missing) },
		Setup: func(env *testscript.Env) error {
			base, err := os.MkdirTemp("", "s")
			if err != nil {
				return err
			}
			env.Defer(func() { leaveNothing(env.T().(testing.TB), base, env.WorkDir) })
			for _, folder := range []string{"home", "bin", "run"} {
				if err := os.Mkdir(filepath.Join(base, folder), 0o700); err != nil {
					return err
				}
			}
			if err := os.Symlink(program, filepath.Join(base, "bin", "skiff")); err != nil {
				return err
			}
			env.Setenv("PATH", filepath.Join(base, "bin")+":"+env.Getenv("PATH")+":/usr/sbin:/sbin")
			env.Setenv("HOME", filepath.Join(base, "home"))
			env.Setenv("SKIFF_ROOT", filepath.Join(base, "store"))
			env.Setenv("XDG_RUNTIME_DIR", filepath.Join(base, "run"))
			env.Setenv("TERM", "xterm")
			env.Setenv("REGISTRY", registry)
			env.Setenv("PRIVATE", private)
			env.Setenv("USERNAME", fixture.User)
			env.Setenv("PASSWORD", fixture.Password)
			return nil
		},
	})
}

// skiff returns the absolute path of the program to test.
func skiff(t *testing.T) string {
	program, err := fixture.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// registries starts the two registries and fills them.
func registries(t *testing.T) (open, private string) {
	images, err := fixture.Images()
	if err != nil {
		t.Fatal(err)
	}
	if fixture.NetPrograms() == nil {
		net, err := fixture.NetImage()
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, net)
	}
	addr := make([]string, 2)
	for i, withPassword := range []bool{false, true} {
		r, err := fixture.Start(t.TempDir(), withPassword)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Stop)
		some := images
		if withPassword {
			some = images[:1]
		}
		if err := r.Push(context.Background(), some); err != nil {
			t.Fatal(err)
		}
		addr[i] = r.Addr
	}
	return addr[0], addr[1]
}

// abilities are what a machine may lack; scripts ask for them by name.
var abilities = map[string]func() error{
	"root":     func() error { return is(os.Getuid() == 0, "an ordinary user runs the tests") },
	"user":     func() error { return is(os.Getuid() != 0, "root runs the tests") },
	"registry": func() error { _, err := exec.LookPath("docker-registry"); return err },
	"subids":   subordinateIDs,
	"overlay":  kernelOverlay,
	"tun":      func() error { return opens("/dev/net/tun") },
	"net":      fixture.NetPrograms,
	"fuse":     func() error { return opens("/dev/fuse") },
	"cgroup2":  func() error { _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); return err },
}

// lacking probes every ability once. One that $SKIFF_REQUIRE promises must be there.
func lacking(t *testing.T) map[string]error {
	missing := map[string]error{}
	for name, probe := range abilities {
		if err := probe(); err != nil {
			missing[name] = err
			t.Logf("this machine lacks %s: %v", name, err)
		}
	}
	for name := range strings.SplitSeq(os.Getenv("SKIFF_REQUIRE"), ",") {
		if err := missing[name]; err != nil {
			t.Fatalf("this machine promises %s and lacks it: %v", name, err)
		}
	}
	return missing
}

func condition(name string, missing map[string]error) (bool, error) {
	if _, known := abilities[name]; !known {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	return missing[name] == nil, nil
}
