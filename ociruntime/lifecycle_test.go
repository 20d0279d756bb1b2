package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestLifecycle(t *testing.T) {
	c := newContainer(t, "echo started; exec sleep 1000")
	c.spec.Annotations = map[string]string{"a": "b"}
	pidFile := filepath.Join(t.TempDir(), "pid")
	c.options.PIDFile = pidFile
	c.create()
	s := c.status(specs.StateCreated)
	if s.Pid == 0 || s.ID != "test" || s.Bundle != c.bundle || s.Annotations["a"] != "b" || s.Owner != "tester" || s.Rootfs != c.path("") {
		t.Errorf("%+v", s)
	}
	if pid, err := os.ReadFile(pidFile); err != nil || string(pid) != strconv.Itoa(s.Pid) {
		t.Errorf("pid file: %q %v", pid, err)
	}
	if err := c.runtime.Create(&c.options); !errors.Is(err, ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	if c.printed() != "" {
		t.Error("the program ran before start")
	}
	// To look does not start it.
	for range 3 {
		c.status(specs.StateCreated)
	}
	must(t, c.runtime.Start("test"))
	c.status(specs.StateRunning)
	if err := c.runtime.Start("test"); err == nil {
		t.Error("started twice")
	}
	if err := c.runtime.Delete("test", false); err == nil {
		t.Error("a running container was deleted")
	}
	if all, err := c.runtime.List(); err != nil || len(all) != 1 || all[0].ID != "test" {
		t.Errorf("%v %v", all, err)
	}
	c.awaitPrinted("started")
	must(t, c.runtime.Kill("test", unix.SIGKILL, false))
	c.await(specs.StateStopped)
	if err := c.runtime.Kill("test", unix.SIGKILL, false); !errors.Is(err, ErrNotRunning) {
		t.Errorf("killed a stopped one: %v", err)
	}
	must(t, c.runtime.Delete("test", false))
	if _, err := c.runtime.Open("test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after delete: %v", err)
	}
}

// A container that was never started is deleted as it is, and one that runs with force.
func TestDeleteEarly(t *testing.T) {
	c := newContainer(t, "true")
	c.create()
	must(t, c.runtime.Delete("test", false))
	c.nothingLeft()
	c.spec.Process.Args = []string{"sleep", "1000"}
	c.create()
	must(t, c.runtime.Start("test"))
	must(t, c.runtime.Delete("test", true))
	c.nothingLeft()
	must(t, c.runtime.Delete("test", true)) // there is none
}

// Of many starts at the same time one starts it.
func TestStartOnce(t *testing.T) {
	c := newContainer(t, "echo started; exec sleep 1000")
	c.create()
	results := make(chan error)
	for range 8 {
		go func() { results <- c.runtime.Start("test") }()
	}
	n := 0
	for range 8 {
		if <-results == nil {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d starts", n)
	}
	c.awaitPrinted("started")
}

// What a killed create leaves is deleted with force, whenever it was killed.
func TestHalfCreated(t *testing.T) {
	c := newContainer(t, "true")
	must(t, os.MkdirAll(c.runtime.folder("test"), 0o700))
	if _, err := c.runtime.Open("test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if all, err := c.runtime.List(); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
	must(t, c.runtime.Delete("test", true))
	c.nothingLeft()
	c.create()
	must(t, os.Remove(filepath.Join(c.runtime.folder("test"), fileStart))) // the socket is gone, the process not
	must(t, c.runtime.Delete("test", true))
}

// The config is that of create: what happens to the bundle afterwards has no effect.
func TestConfigIsKept(t *testing.T) {
	c := newContainer(t, "echo $A")
	c.spec.Process.Env = append(c.spec.Process.Env, "A=kept")
	c.create()
	must(t, os.Remove(filepath.Join(c.bundle, "config.json")))
	must(t, c.runtime.Start("test"))
	c.await(specs.StateStopped)
	if c.printed() != "kept" {
		t.Errorf("printed %q", c.printed())
	}
}

// A container that could not be started is gone, though its process may be about to end only.
func TestRunThatCannotStart(t *testing.T) {
	c := newContainer(t)
	must(t, writeProgram(c.path("bin/garbage"), []byte("garbage")))
	c.spec.Process.Args = []string{"garbage"}
	c.write()
	for range 20 {
		if _, err := c.runtime.Run(&c.options); err == nil || !strings.Contains(err.Error(), "exec format error") {
			t.Fatalf("got %v", err)
		}
		if _, err := c.runtime.Open("test"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("it is still there: %v, %q", err, c.warned)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		words  string
		change func(c *container)
	}{
		{`executable file not found in $PATH`, func(c *container) { c.spec.Process.Args = []string{"nonesuch"} }},
		{`exec: "/etc": is a directory`, func(c *container) {
			c.spec.Process.Args = []string{"/etc"}
			must(c.t, os.Mkdir(c.path("etc"), 0o755))
		}},
		{"ociVersion must be set", func(c *container) { c.spec.Version = "" }},
		{`ociVersion "2.0.0" is not supported`, func(c *container) { c.spec.Version = "2.0.0" }},
		{`ociVersion "nonsense" is no version`, func(c *container) { c.spec.Version = "nonsense" }},
		{"process.args must not be empty", func(c *container) { c.spec.Process.Args = nil }},
		{"process.cwd must be an absolute path", func(c *container) { c.spec.Process.Cwd = "here" }},
		{"root.path must not be empty", func(c *container) { c.spec.Root = nil }},
		{"opening the root file system", func(c *container) { c.spec.Root.Path = "nonesuch" }},
		{"intelRdt", func(c *container) { c.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x"} }},
		{"--console-socket", func(c *container) { c.spec.Process.Terminal = true }},
		{"invalid container id", func(c *container) { c.options.ID = "../up" }},
		{"container id cannot be empty", func(c *container) { c.options.ID = "" }},
		{"the default action cannot be a supervisor's", func(c *container) {
			c.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActNotify}
		}},
		{"no AppArmor", func(c *container) {
			if _, err := os.Stat("/sys/module/apparmor"); err == nil {
				c.t.Skip("this host has AppArmor")
			}
			c.spec.Process.ApparmorProfile = "some"
		}},
		{"no SELinux", func(c *container) {
			if hasSELinux() {
				c.t.Skip("this host has SELinux")
			}
			c.spec.Process.SelinuxLabel = "system_u:system_r:container_t:s0"
		}},
	} {
		t.Run(strings.Map(letters, test.words), func(t *testing.T) {
			c := newContainer(t, "true")
			test.change(c)
			c.refused(test.words)
		})
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return '-'
}

// What the runtime spec has a runtime warn of is no error.
func TestWarnings(t *testing.T) {
	c := newContainer(t, "echo ran")
	c.spec.Process.Capabilities.Bounding = append(c.spec.Process.Capabilities.Bounding, "CAP_TEST")
	c.spec.Linux.MountLabel = "system_u:object_r:container_file_t:s0"
	if hasSELinux() {
		t.Skip("this host has SELinux")
	}
	c.prints("ran")
	if text := fmt.Sprint(c.warned); !strings.Contains(text, `capability "CAP_TEST" cannot be granted here`) || !strings.Contains(text, "SELinux mount label") {
		t.Errorf("warned %q", c.warned)
	}
}

// Where there is no control group, the end of a container that has joined another one's PID
// namespace ends nothing of the other one's.
func TestJoinedPIDNamespaceIsSpared(t *testing.T) {
	c := newContainer(t, "exec sleep 1000")
	c.runtime.NoCgroups = true
	c.create()
	must(t, c.runtime.Start("test"))
	other := c.status(specs.StateRunning).Pid
	for i, n := range c.spec.Linux.Namespaces {
		file := map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid", specs.UserNamespace: "user"}[n.Type]
		if file != "" {
			c.spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", other, file)
		}
	}
	c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings = nil, nil
	c.write()
	o := c.options
	o.ID = "second"
	started, err := c.runtime.Run(&o)
	must(t, err)
	end := func() error { defer started.Process.Wait(); return c.runtime.Delete("second", true) }
	t.Cleanup(func() { end() })
	second, err := c.runtime.Open("second")
	must(t, err)
	if pids, err := c.runtime.Processes("second"); err != nil || !slices.Equal(pids, []int{second.record.Process.PID}) {
		t.Errorf("it has %v, %v; its own is %d, the other's %d", pids, err, second.record.Process.PID, other)
	}
	must(t, end())
	if code, err := c.exec(ExecOptions{}, "true"); err != nil || code != 0 {
		t.Errorf("exec in the other one: %d, %v", code, err)
	}
}

// Processes that start others faster than they are killed are deleted with their container,
// also where no PID namespace ends with the first.
func TestDeleteOfForkers(t *testing.T) {
	c := newContainer(t, "again() { true; again & exit; }", "again & again & again & exec sleep 1000")
	drop(c.spec, specs.PIDNamespace)
	c.create()
	must(t, c.runtime.Start("test"))
	opened, err := c.runtime.Open("test")
	must(t, err)
	if m, err := opened.group(); err != nil || m == nil || !m.Exists() {
		t.Skip("no control group for this user")
	}
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if pids, err := opened.processes(); err == nil && len(pids) > 3 || time.Now().After(end) {
			break
		}
	}
	must(t, c.runtime.Delete("test", true))
}

// A container's folder is one create's alone, whatever is deleted at the same time.
func TestCreateBesideDelete(t *testing.T) {
	t.Parallel()
	r := &Runtime{Root: filepath.Join(t.TempDir(), "runtime")}
	stop, results := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				results <- nil
				return
			default:
			}
			if err := r.Delete("test", true); err != nil {
				results <- err
				return
			}
		}
	}()
	const creates = 4
	for range creates {
		go func() {
			var err error
			for range 2000 {
				var unlock func()
				if unlock, err = r.reserve("test"); errors.Is(err, ErrExists) {
					err = nil
					continue
				}
				if err != nil {
					break
				}
				config := filepath.Join(r.folder("test"), fileConfig)
				_, err = os.Lstat(config)
				if err == nil {
					err = errors.New("two have created it")
				} else {
					err = os.WriteFile(config, nil, 0o600)
				}
				unlock()
				if err != nil {
					break
				}
			}
			results <- err
		}()
	}
	for range creates {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-results; err != nil {
		t.Error(err)
	}
}
