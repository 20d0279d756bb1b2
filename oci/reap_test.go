package oci

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestInitStaysPID1(t *testing.T) {
	needStatic(t)
	c := newContainer(t, script("cat /proc/1/comm; echo $$; grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/1/status | tr '\t' ' '; for fd in $(ls /proc/1/fd); do echo $fd; done; exit 5")...)
	needRange(t)
	c.Init = true
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	c.Spec.Process.NoNewPrivileges = true
	c.Seccomp = denyFilter(mkdirCalls()...)
	e := c.run()
	if e.Failure != nil || e.Code != 5 {
		t.Fatalf("%+v: %s", e, e.stderr)
	}
	got := strings.Split(e.stdout, "\n")
	for i, line := range []string{"skiff-init", "[2-9]|[1-9][0-9]+", "Uid: 1000 1000 1000 1000", "CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "0", "1", "2"} {
		if i >= len(got) || !regexp.MustCompile("^("+line+")$").MatchString(got[i]) { // the runtime's threads have numbers, too
			t.Fatalf("line %d of %q, want %q", i, got, line)
		}
	}
	for _, fd := range got[9:] { // what is left are the Go runtime's
		if len(fd) > 1 {
			t.Errorf("PID 1 has descriptor %s", fd)
		}
	}
}

func TestInitReaps(t *testing.T) {
	needStatic(t)
	c := newContainer(t, script(
		"for i in 1 2 3; do (sleep 0 & ) ; done",
		// An orphan's end is seen when it is no process any more, not even a zombie.
		"while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; echo clean")...)
	c.Init = true
	want(t, c.output(), "clean")
}

func TestInitForwardsSignals(t *testing.T) {
	needStatic(t)
	c := newContainer(t, script("trap 'echo got term; exit 9' TERM; echo ready; while :; do sleep 0.01; done")...)
	c.Init = true
	r := c.start()
	pid := r.first(c)
	must(t, unix.Kill(pid, unix.SIGTERM))
	if e := r.wait(); e.Failure != nil || e.Code != 9 || e.stdout != "got term\n" {
		t.Errorf("%+v", e)
	}
}

func TestInitTellsSignals(t *testing.T) {
	needStatic(t)
	c := newContainer(t, script("kill -KILL $$")...)
	c.Init = true
	if e := c.run(); e.Code != 137 {
		t.Errorf("%+v", e)
	}
}

func TestInitWithHostPIDs(t *testing.T) {
	needStatic(t)
	c := newContainer(t, script("echo fine; exit 4")...)
	c.Init = true
	c.dropNamespace(specs.PIDNamespace)
	if e := c.run(); e.Code != 4 || e.stdout != "fine\n" {
		t.Errorf("%+v", e)
	}
}

// first waits for the container's first line and returns the process id of its
// first process, the shim's only child.
func (r *running) first(*container) int {
	r.t.Helper()
	b := make([]byte, 1)
	for b[0] != '\n' { // not a byte more, the rest is wait's
		if _, err := r.stdout.Read(b); err != nil {
			r.t.Fatal("the container said nothing")
		}
	}
	children := children(r.t, r.shim.PID)
	if len(children) != 1 {
		r.t.Fatalf("children %v", children)
	}
	return children[0]
}

// children returns the processes whose parent is pid.
func children(t testing.TB, pid int) (found []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must(t, err)
	for _, e := range entries {
		if parent, id := parent(e.Name()); parent == pid {
			found = append(found, id)
		}
	}
	return found
}

func parent(name string) (ppid, pid int) {
	f, err := os.Open("/proc/" + name + "/status")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":\t")
		switch key {
		case "Pid":
			pid = atoi(value)
		case "PPid":
			return atoi(value), pid
		}
	}
	return 0, 0
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// The container dies with the one that started it, whoever it runs as: the signal
// would be lost by a change of user, or by exec, if it were asked for too early.
func TestDiesWithItsParent(t *testing.T) {
	for _, test := range []struct {
		name string
		init bool
		uid  uint32
		host bool
	}{{"root", false, 0, false}, {"user", false, 1000, false}, {"init", true, 1000, false}, {"host pids", false, 1000, true}, {"init with host pids", true, 0, true}} {
		t.Run(test.name, func(t *testing.T) {
			if test.init {
				needStatic(t)
			}
			c := newContainer(t, script("echo ready; while :; do sleep 0.05; done")...)
			if test.uid != 0 {
				needRange(t)
			}
			c.Init = test.init
			c.Spec.Process.User = specs.User{UID: test.uid, GID: test.uid}
			if test.host {
				c.dropNamespace(specs.PIDNamespace)
			}
			r := c.start()
			pid := r.first(c)
			pids := append(children(t, pid), pid)
			var fds []unix.PollFd
			for _, pid := range pids {
				if fd, err := unix.PidfdOpen(pid, 0); err == nil {
					fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
					defer unix.Close(fd)
				}
			}
			must(t, unix.Kill(r.shim.PID, unix.SIGKILL))
			r.shim.Wait()
			// The last look is at the first process. Should it live on, the deadline ends the test and the container.
			first := fds[len(fds)-1:]
			n := 0
			for deadline := time.Now().Add(time.Minute); n == 0 && time.Now().Before(deadline); {
				n, _ = unix.Poll(first, 1000) // a signal of the Go runtime's may interrupt it
				n = max(n, 0)
			}
			if n != 1 {
				unix.Kill(pid, unix.SIGKILL)
				t.Error("the container lives on")
			}
		})
	}
}
