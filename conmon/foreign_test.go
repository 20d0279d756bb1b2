package conmon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Another runtime's create leaves a process that waits. Where the shim is killed before it knows
// that one, whoever looks at the container next ends it, and the runtime, wherever it is.
func TestShimKilledWhileAnotherRuntimeCreates(t *testing.T) {
	for _, runtime := range []string{"crun", "runc"} {
		if runtime == "runc" && os.Geteuid() == 0 {
			continue // it would make control groups
		}
		program, err := exec.LookPath(runtime)
		if err != nil {
			t.Logf("%s is not installed", runtime)
			continue
		}
		t.Run(runtime+" in a hook", func(t *testing.T) {
			asked, wait := holding(t)
			createKilled(t, asked, func(s *specs.Spec, setup *Setup) {
				setup.Runtime = program
				s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", wait}, Env: []string{"PATH=/usr/bin:/bin"}}}}
			})
		})
		t.Run(runtime+" has created", func(t *testing.T) {
			asked, wait := holding(t)
			createKilled(t, asked, func(_ *specs.Spec, setup *Setup) {
				setup.Runtime = wrapped(t, runtime, program+` "$@" || exit; case " $* " in *" create "*) `+wait+"; esac")
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holding is a script that tells that it was reached, and goes on when the test ends.
func holding(t *testing.T) (asked, script string) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	asked, goOn := filepath.Join(dir, "asked"), filepath.Join(dir, "go")
	t.Cleanup(func() { os.WriteFile(goOn, nil, 0o644) })
	return asked, fmt.Sprintf("echo >%s; while test -d %s && ! test -e %s; do sleep 0.01; done", asked, dir, goOn)
}

// wrapped is a program that behaves like a runtime of that name.
func wrapped(t *testing.T, name, script string) string {
	path := filepath.Join(t.TempDir(), name)
	syscall.ForkLock.RLock() // what is forked meanwhile would hold it open for writing
	defer syscall.ForkLock.RUnlock()
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return path
}

// createKilled kills a shim when its runtime's create has come to a point, and looks at the container.
func createKilled(t *testing.T, asked string, change func(*specs.Spec, *Setup)) {
	t.Parallel()
	c := create(t, "sleep 1000", func(s *specs.Spec, setup *Setup) {
		one := []specs.LinuxIDMapping{{Size: 1}}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings, s.Linux.GIDMappings = one, one
		change(s, setup)
	})
	began := make(chan error, 1)
	go func() {
		session, err := c.tryStart([3]*os.File{})
		if err == nil {
			session.Close()
		}
		began <- err
	}()
	for deadline := time.Now().Add(enough); unix.Access(asked, unix.F_OK) != nil; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the runtime did not get there")
		}
		select {
		case err := <-began:
			t.Fatalf("started: %v", err)
		default:
		}
	}
	live, err := c.store.Live()
	must(t, err)
	shim := live[c.ID]
	left := c.runtimeProcesses(t, shim.PID)
	if len(left) == 0 {
		t.Fatal("nothing was created")
	}
	must(t, shim.KillAndWait(enough))
	if err := <-began; err == nil {
		t.Fatal("it was started")
	}
	state, err := c.State()
	if err != nil || state.Status != store.Exited || state.ExitCode != 137 {
		t.Errorf("%+v, %v", state, err)
	}
	for _, p := range left {
		if still, err := p.Open(); err != nil || still != nil {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
			t.Errorf("process %d was left: %q, %v", p.PID, line, err)
			p.KillAndWait(enough)
		}
	}
}

// runtimeProcesses are a shim's descendants, but for what a hook has started.
func (c *testContainer) runtimeProcesses(t *testing.T, shim int) (all []store.ProcessID) {
	t.Helper()
	for _, pid := range descendants(shim) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if text := string(line); strings.HasPrefix(text, "sleep\x00") || strings.HasPrefix(text, "sh\x00-c") {
			continue
		}
		if id, err := store.Identify(pid); err == nil {
			all = append(all, id)
		}
	}
	return all
}

func descendants(pid int) (all []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range threads {
		list, _ := os.ReadFile(name)
		for _, text := range strings.Fields(string(list)) {
			child, _ := strconv.Atoi(text)
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}
