package ociruntime

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// All six kinds run in their order, where they belong, and are told the state.
func TestHooks(t *testing.T) {
	c := newContainer(t, "echo program >> /log")
	log := c.path("log")
	must(t, os.WriteFile(log, nil, 0o666))
	c.spec.Root.Readonly = false
	outside := func(word string) []specs.Hook {
		return hooks(fmt.Sprintf("echo %s $(readlink /proc/self/ns/mnt) >> %s; cat > %s.json", word, log, filepath.Join(c.bundle, word)))
	}
	h := &specs.Hooks{CreateRuntime: outside("createRuntime"), CreateContainer: outside("createContainer"),
		StartContainer: hooks("echo startContainer $(readlink /proc/self/ns/mnt) >> /log; cat > /startContainer.json"),
		Poststart:      outside("poststart"), Poststop: outside("poststop")}
	//lint:ignore SA1019 old configs have it
	h.Prestart = outside("prestart")
	c.spec.Hooks = h
	c.create()
	pid := c.status(specs.StateCreated).Pid
	must(t, c.runtime.Start("test"))
	c.await(specs.StateStopped)
	must(t, c.runtime.Delete("test", false))
	data, err := os.ReadFile(log)
	must(t, err)
	own, err := os.Readlink("/proc/self/ns/mnt")
	must(t, err)
	var order []string
	for line := range strings.Lines(string(data)) {
		word, space, _ := strings.Cut(strings.TrimSpace(line), " ")
		order = append(order, word)
		inside := word == "createContainer" || word == "startContainer"
		if space != "" && inside == (space == own) {
			t.Errorf("%s ran in mount namespace %s, the runtime's is %s", word, space, own)
		}
	}
	// poststart and the program run at the same time.
	got := strings.Join(order, " ")
	want := "prestart createRuntime createContainer startContainer program poststart poststop"
	if got != want && got != strings.Replace(want, "program poststart", "poststart program", 1) {
		t.Errorf("order %q", got)
	}
	for word, status := range map[string]specs.ContainerState{"prestart": specs.StateCreating, "createRuntime": specs.StateCreating,
		"createContainer": specs.StateCreating, "startContainer": specs.StateCreated, "poststart": specs.StateRunning, "poststop": specs.StateStopped} {
		name := filepath.Join(c.bundle, word+".json")
		if word == "startContainer" {
			name = c.path(word + ".json")
		}
		data, err := os.ReadFile(name)
		must(t, err)
		var s specs.State
		must(t, json.Unmarshal(data, &s))
		if s.Status != status || s.ID != "test" || s.Bundle != c.bundle || (s.Pid == pid) == (status == specs.StateStopped) {
			t.Errorf("%s was told %s", word, data)
		}
	}
}

// While a container is being created nothing is executed in it: until its root is changed its first
// process has the host's.
func TestExecWhileCreating(t *testing.T) {
	c := newContainer(t, "exec sleep 1000")
	hook, goOn := c.holdingHook()
	c.spec.Hooks = &specs.Hooks{CreateRuntime: hook}
	c.write()
	created := make(chan error, 1)
	go func() { created <- c.runtime.Create(&c.options) }()
	c.awaitHook()
	c.status(specs.StateCreating)
	if code, err := c.exec(ExecOptions{}, "true"); err == nil || !strings.Contains(err.Error(), "it is creating") {
		t.Errorf("it was executed and ended with %d, %v", code, err)
	}
	goOn()
	must(t, <-created)
	c.status(specs.StateCreated)
	code, err := c.exec(ExecOptions{}, "true")
	must(t, err)
	if code != 0 {
		t.Errorf("exec in a created container: exit code %d", code)
	}
}

// A hook of a container that runs may call the runtime, and need not wait for itself.
func TestPoststartHookCallsTheRuntime(t *testing.T) {
	c := newContainer(t, "exec sleep 1000")
	hook, goOn := c.holdingHook()
	c.spec.Hooks = &specs.Hooks{Poststart: hook}
	c.create()
	started := make(chan error, 1)
	go func() { started <- c.runtime.Start("test") }()
	c.awaitHook()
	deleted := make(chan error, 1)
	go func() { deleted <- c.runtime.Delete("test", false) }()
	select {
	case err := <-deleted:
		if err == nil || !strings.Contains(err.Error(), "it is running") {
			t.Errorf("deleting: %v", err)
		}
	case <-time.After(patience):
		t.Error("delete waits for the hook")
	}
	goOn()
	must(t, <-started)
}

// Hooks of create may call the runtime as well: what only looks answers, and what would have
// to wait for create's end is refused.
func TestCreateHooksCallTheRuntime(t *testing.T) {
	for word, hang := range map[string]func(h *specs.Hooks, all []specs.Hook){
		"createRuntime":   func(h *specs.Hooks, all []specs.Hook) { h.CreateRuntime = all },
		"createContainer": func(h *specs.Hooks, all []specs.Hook) { h.CreateContainer = all },
	} {
		t.Run(word, func(t *testing.T) {
			c := newContainer(t, "exec sleep 1000")
			hook, goOn := c.holdingHook()
			c.spec.Hooks = new(specs.Hooks)
			hang(c.spec.Hooks, hook)
			c.write()
			created := make(chan error, 1)
			go func() { created <- c.runtime.Create(&c.options) }()
			c.awaitHook()
			c.status(specs.StateCreating)
			r := c.runtime
			for what, call := range map[string]func() error{
				"start":        func() error { return r.Start("test") },
				"pause":        func() error { return r.Pause("test") },
				"resume":       func() error { return r.Resume("test") },
				"update":       func() error { return r.Update("test", func(*specs.LinuxResources) error { return nil }) },
				"delete":       func() error { return r.Delete("test", false) },
				"delete force": func() error { return r.Delete("test", true) },
			} {
				answer := make(chan error, 1)
				go func() { answer <- call() }()
				select {
				case err := <-answer:
					if err == nil || !strings.Contains(err.Error(), "it is being created") {
						t.Errorf("%s: %v", what, err)
					}
				case <-time.After(patience):
					t.Fatalf("%s waits for the hook", what)
				}
			}
			goOn()
			must(t, <-created)
			c.status(specs.StateCreated)
		})
	}
}

// holdingHook is a hook that does not end before goOn is called.
func (c *container) holdingHook() (hook []specs.Hook, goOn func()) {
	answered := c.path("answered")
	goOn = func() { os.WriteFile(answered, nil, 0o600) }
	c.t.Cleanup(goOn)
	return hooks(fmt.Sprintf("echo >%s; until test -e %s; do sleep 0.01; done", c.path("asked"), answered)), goOn
}

// awaitHook waits until that hook is run.
func (c *container) awaitHook() {
	c.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(c.path("asked")); err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal("the hook was not run")
		}
	}
}

// A hook that fails or does not end ends the container, and nothing is left.
func TestFailingHooks(t *testing.T) {
	limit := 1
	for word, change := range map[string]func(h *specs.Hooks, all []specs.Hook){
		"createRuntime":   func(h *specs.Hooks, all []specs.Hook) { h.CreateRuntime = all },
		"createContainer": func(h *specs.Hooks, all []specs.Hook) { h.CreateContainer = all },
	} {
		t.Run(word, func(t *testing.T) {
			c := newContainer(t, "true")
			c.spec.Hooks = new(specs.Hooks)
			change(c.spec.Hooks, hooks("echo because >&2; exit 3"))
			c.refused("exit status 3: because")
		})
		t.Run(word+"-late", func(t *testing.T) {
			c := newContainer(t, "true")
			c.spec.Hooks = new(specs.Hooks)
			late := hooks("exec sleep 1000")
			late[0].Timeout = &limit
			change(c.spec.Hooks, late)
			c.refused("not ended after 1 seconds")
		})
	}
	t.Run("startContainer", func(t *testing.T) {
		c := newContainer(t, "echo program")
		c.spec.Hooks = &specs.Hooks{StartContainer: hooks("exit 3")}
		c.create()
		if err := c.runtime.Start("test"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("%v", err)
		}
		c.await(specs.StateStopped)
		if c.printed() != "" {
			t.Error("the program ran")
		}
	})
	t.Run("poststart", func(t *testing.T) {
		c := newContainer(t, "exec sleep 1000")
		c.spec.Hooks = &specs.Hooks{Poststart: hooks("exit 3")}
		c.create()
		if err := c.runtime.Start("test"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("%v", err)
		}
		c.await(specs.StateStopped)
	})
	t.Run("poststop", func(t *testing.T) {
		c := newContainer(t, "true")
		mark := filepath.Join(c.bundle, "second")
		c.spec.Hooks = &specs.Hooks{Poststop: append(hooks("exit 3"), hooks("touch "+mark)...)}
		c.output()
		must(t, c.runtime.Delete("test", false))
		if _, err := os.Stat(mark); err != nil || !strings.Contains(fmt.Sprint(c.warned), "exit status 3") {
			t.Errorf("%v, warned %q", err, c.warned)
		}
	})
}
