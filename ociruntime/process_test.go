package ociruntime

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Nothing of the runtime is open in the container, and no process of skiff is there.
func TestInside(t *testing.T) {
	newContainer(t, "ls /proc/self/fd", "cat /proc/1/comm", "id -u", "hostname", "pwd", "readlink /proc/self/cwd", "umask").
		prints("0", "1", "2", "3", "sh", "0", "skiff", "/", "/", "0022")
}

func TestExec(t *testing.T) {
	c := newContainer(t)
	c.spec.Process.Args = []string{"sleep", "1000"}
	c.create()
	must(t, c.runtime.Start("test"))
	if code, err := c.exec(ExecOptions{}, "sh", "-c", "cat /proc/1/comm; exit 7"); err != nil || code != 7 {
		t.Errorf("%d %v", code, err)
	}
	if c.printed() != "sleep" {
		t.Errorf("printed %q", c.printed())
	}
	if _, err := c.exec(ExecOptions{}, "nonesuch"); err == nil || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		t.Errorf("%v", err)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	if _, err := c.exec(ExecOptions{Detach: true, ProcessOptions: ProcessOptions{PIDFile: pidFile}}, "true"); err != nil {
		t.Error(err)
	}
	if pid, err := os.ReadFile(pidFile); err != nil || len(pid) == 0 {
		t.Errorf("pid file: %q %v", pid, err)
	}
	must(t, c.runtime.Kill("test", unix.SIGKILL, false))
	c.await(specs.StateStopped)
	if _, err := c.exec(ExecOptions{}, "true"); err == nil {
		t.Error("exec in a stopped container")
	}
}

// A process may run before the container's own does.
func TestExecCreated(t *testing.T) {
	c := newContainer(t, "echo own")
	c.create()
	if code, err := c.exec(ExecOptions{}, "echo", "before"); err != nil || code != 0 {
		t.Fatalf("%d %v", code, err)
	}
	must(t, c.runtime.Start("test"))
	c.await(specs.StateStopped)
	if c.printed() != "before\nown" {
		t.Errorf("printed %q", c.printed())
	}
}

func TestConsoleSocket(t *testing.T) {
	c := newContainer(t, "tty; test -t 0 && test -t 1 && test -t 2 && echo all; stty size")
	must(t, os.Symlink("busybox", c.path("bin/stty")))
	path, listener := listenAt(t)
	c.spec.Process.Terminal = true
	c.spec.Process.ConsoleSize = &specs.Box{Height: 11, Width: 22}
	c.options.ConsoleSocket = path
	c.create()
	name, console := receive(t, listener)
	defer console.Close()
	shown := make(chan string)
	go func() { shown <- showAll(console) }()
	must(t, c.runtime.Start("test"))
	if text := <-shown; name != "/dev/ptmx" || text != "/dev/pts/0\nall\n11 22" {
		t.Errorf("%q: %q", name, text)
	}
}

// Descriptors are passed on by their numbers.
func TestPreservedDescriptors(t *testing.T) {
	var ends [2]int
	must(t, unix.Pipe2(ends[:], unix.O_CLOEXEC))
	kept := os.NewFile(uintptr(ends[1]), "kept")
	defer kept.Close()
	reader := os.NewFile(uintptr(ends[0]), "reader")
	defer reader.Close()
	c := newContainer(t, "echo passed >&3; ls /proc/self/fd")
	c.options.kept = []*os.File{kept}
	c.prints("0", "1", "2", "3", "4")
	b := make([]byte, 16)
	if n, err := reader.Read(b); err != nil || string(b[:n]) != "passed\n" {
		t.Errorf("%q %v", b[:n], err)
	}
}

// A user other than root may open its streams again, in a user namespace too.
func TestPipesAreTheUsers(t *testing.T) {
	if !InitialRoot() {
		t.Skip("an ordinary user has one id in a bundle's namespace")
	}
	for _, shifted := range []bool{false, true} {
		t.Run(fmt.Sprint(shifted), func(t *testing.T) {
			c := newContainer(t, "echo again > /dev/stdout; id -u")
			c.spec.Process.User = specs.User{UID: 1000, GID: 1000}
			if shifted {
				for _, dir := range []string{"proc", "dev", "sys"} {
					must(t, os.Mkdir(c.path(dir), 0o755)) // which the container's root could not make
				}
				ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 65536}}
				c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings = ids, ids
				c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			}
			reader, writer, err := os.Pipe()
			must(t, err)
			defer reader.Close()
			c.options.Stdio[1] = writer
			c.create()
			writer.Close()
			must(t, c.runtime.Start("test"))
			data, err := io.ReadAll(reader)
			if err != nil || string(data) != "again\n1000\n" {
				t.Errorf("%q %v, stderr %q", data, err, c.printed())
			}
		})
	}
}

func TestPause(t *testing.T) {
	c := newContainer(t, "while :; do echo x; sleep 0.02; done")
	c.create()
	must(t, c.runtime.Start("test"))
	opened, err := c.runtime.Open("test")
	must(t, err)
	if m, err := opened.group(); err != nil || m == nil {
		if err := c.runtime.Pause("test"); err == nil || !strings.Contains(err.Error(), "it has no control group") {
			t.Errorf("%v", err)
		}
		t.Skip("this user may make no control groups here")
	}
	must(t, c.runtime.Pause("test"))
	c.status(Paused)
	if err := c.runtime.Pause("test"); err == nil {
		t.Error("paused twice")
	}
	if _, err := c.exec(ExecOptions{}, "true"); err == nil {
		t.Error("exec in a paused container")
	}
	must(t, c.runtime.Resume("test"))
	c.status(specs.StateRunning)
	event, err := c.runtime.Stats("test")
	if err != nil || event.Type != "stats" || event.Data.Pids.Current == 0 {
		t.Errorf("%+v %v", event, err)
	}
	limit := int64(64)
	must(t, c.runtime.Update("test", func(r *specs.LinuxResources) error {
		r.Pids = &specs.LinuxPids{Limit: &limit}
		return nil
	}))
	if event, err = c.runtime.Stats("test"); err != nil || event.Data.Pids.Limit != 64 {
		t.Errorf("%+v %v", event, err)
	}
	must(t, c.runtime.Pause("test"))
	must(t, c.runtime.Kill("test", unix.SIGKILL, false))
	c.await(specs.StateStopped)
}

// All processes are killed, with and without a PID namespace of their own.
func TestKillAll(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprint(own), func(t *testing.T) {
			c := newContainer(t, "sleep 1000 & sleep 1000 & echo ready; wait")
			if !own {
				if !InitialRoot() {
					t.Skip("without a control group and a namespace nothing tells which processes are meant")
				}
				drop(c.spec, specs.PIDNamespace)
			}
			c.create()
			must(t, c.runtime.Start("test"))
			c.awaitPrinted("ready")
			pids, err := c.runtime.Processes("test")
			must(t, err)
			if len(pids) != 3 {
				t.Errorf("processes %v", pids)
			}
			must(t, c.runtime.Kill("test", unix.SIGKILL, true))
			c.await(specs.StateStopped)
			must(t, c.runtime.Delete("test", false))
			for _, pid := range pids {
				if data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && !strings.Contains(string(data), ") Z ") {
					t.Errorf("process %d was left: %s", pid, data)
				}
			}
		})
	}
}

// A supervisor gets the listener of the filter and answers in place of the kernel.
func TestNotify(t *testing.T) {
	c := newContainer(t, "mkdir /tmp/x; echo $?")
	must(t, os.MkdirAll(c.path("tmp"), 0o755))
	path, listener := listenAt(t)
	c.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: path, ListenerMetadata: "meta",
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActNotify}}}
	c.create()
	started := make(chan error)
	go func() { started <- c.runtime.Start("test") }()
	body, notify := receive(t, listener)
	defer notify.Close()
	must(t, <-started)
	var state specs.ContainerProcessState
	must(t, json.Unmarshal([]byte(body), &state))
	if state.Metadata != "meta" || state.State.ID != "test" || state.Pid == 0 || len(state.Fds) != 1 || state.Fds[0] != specs.SeccompFdName {
		t.Errorf("%s", body)
	}
	answerWith(t, notify, unix.ENOSPC)
	c.await(specs.StateStopped)
	if text := c.printed(); !strings.Contains(text, "No space left on device") || !strings.HasSuffix(text, "1") {
		t.Errorf("printed %q", text)
	}
}

// In a folder for all, somebody else may have laid links at the names to come.
func TestPIDFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	must(t, os.WriteFile(victim, []byte("as it was"), 0o600))
	for _, name := range []string{"pid", ".pid"} {
		must(t, os.Symlink(victim, filepath.Join(dir, name)))
	}
	o := ProcessOptions{PIDFile: filepath.Join(dir, "pid")}
	must(t, o.writePID(42))
	for name, want := range map[string]string{"pid": "42", "victim": "as it was"} {
		if have, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(have) != want {
			t.Errorf("%s: %q %v", name, have, err)
		}
	}
}
