package conmon

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// holdings are what a shim has: children, and open files.
func (c *testContainer) holdings(t *testing.T) (children, files int) {
	t.Helper()
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", state.Shim.PID))
	if os.IsPermission(err) {
		t.Skip("the shim's descriptors can be counted by root only")
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(childrenOf(state.Shim.PID)), len(entries)
}

func (c *testContainer) execs(t *testing.T) []string {
	t.Helper()
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ids, err := client.Execs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestManyExecsLeaveNothing(t *testing.T) {
	needStatic(t)
	c := create(t, "exec sleep 1000", nil)
	c.start(t, [3]*os.File{})
	one := func() error {
		process := &specs.Process{Args: []string{"echo", "word"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
		s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true, Stderr: true}})
		if err != nil {
			return err
		}
		defer s.Close()
		out := ""
		for {
			e, err := s.Recv()
			if err != nil {
				return err
			}
			out += string(e.Stdout)
			if e.Exited != nil {
				if out != "word\n" || e.Exited.Code != 0 {
					return fmt.Errorf("%q, %+v", out, e.Exited)
				}
				return nil
			}
		}
	}
	if err := one(); err != nil { // what is made once is made now
		t.Fatal(err)
	}
	children, files := c.holdings(t)
	many := 1000
	if testing.Short() {
		many = 100
	}
	for range many {
		if err := one(); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := one(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	until(t, "nothing is left", func() bool {
		nowChildren, nowFiles := c.holdings(t)
		return nowChildren == children && nowFiles <= files && len(c.execs(t)) == 0 && c.processes(t) == 1
	})
}

// family starts a process of exec with a child, a child in the background whose parent
// has ended, and a child in a session of its own, and comes back when all are there.
func family(t *testing.T, c *testContainer, detach bool) *Session {
	t.Helper()
	script := "(sleep 1001 &); setsid sleep 1002 & sleep 1003 & echo; exec sleep 1004"
	process := &specs.Process{Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	s, err := execIn(c, ExecRequest{ID: strings.Repeat("e", 64), Process: process, Detach: detach, Attach: Attach{Stdout: !detach}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the family is there", func() bool { return c.sleeps(t) == 4 })
	return s
}

// sleeps counts the container's processes that sleep for 1001 to 1004 seconds.
func (c *testContainer) sleeps(t *testing.T) (n int) {
	t.Helper()
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	var count func(pid int)
	count = func(pid int) {
		for _, child := range childrenOf(pid) {
			words, _ := os.ReadFile("/proc/" + strconv.Itoa(child) + "/cmdline")
			if _, lives := look(child); lives && strings.HasPrefix(string(words), "sleep\x00100") && words[9] != '0' {
				n++
			}
			count(child)
		}
	}
	count(state.Shim.PID)
	return n
}

func TestClientWhoLeavesEndsAllThatExecHasStarted(t *testing.T) {
	needStatic(t)
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprintf("own PIDs %v", own), func(t *testing.T) {
			t.Parallel()
			c := create(t, "exec sleep 1000", func(s *specs.Spec, _ *Setup) {
				if !own {
					withoutPIDs(s)
				}
			})
			c.start(t, [3]*os.File{})
			s := family(t, c, false)
			if ids := c.execs(t); len(ids) != 1 || ids[0] != strings.Repeat("e", 64) {
				t.Errorf("execs %q", ids)
			}
			s.Close()
			until(t, "the family has gone", func() bool { return c.sleeps(t) == 0 })
			until(t, "nothing is listed", func() bool { return len(c.execs(t)) == 0 })
			until(t, "the container's first process alone is there", func() bool { return c.processes(t) == 1 })
		})
	}
}

func withoutPIDs(s *specs.Spec) {
	var kept []specs.LinuxNamespace
	for _, n := range s.Linux.Namespaces {
		if n.Type != specs.PIDNamespace {
			kept = append(kept, n)
		}
	}
	s.Linux.Namespaces = kept
}

func TestWhatIsDetachedGoesOn(t *testing.T) {
	needStatic(t)
	t.Parallel()
	for name, leave := range map[string]func(*testing.T, *testContainer){
		"exec -d":     func(t *testing.T, c *testContainer) { family(t, c, true).Close() },
		"detach keys": func(t *testing.T, c *testContainer) { family(t, c, false).Detach() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := create(t, "exec sleep 1000", nil)
			c.start(t, [3]*os.File{})
			leave(t, c)
			// A client who leaves without a word comes after: when its process has ended,
			// that of the other would have as well.
			process := &specs.Process{Args: []string{"sleep", "1005"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
			s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true}})
			if err != nil {
				t.Fatal(err)
			}
			pidfd, err := unix.PidfdOpen(s.PID, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pidfd)
			s.Close()
			if !ends(pidfd) {
				t.Fatal("a process outlived its client")
			}
			if n := c.sleeps(t); n != 4 {
				t.Errorf("%d processes of what was detached are left, want 4", n)
			}
		})
	}
}

func TestBackgroundOfAnExecThatEndsStays(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "exec sleep 1000", nil)
	c.start(t, [3]*os.File{})
	process := &specs.Process{Args: []string{"sh", "-c", "sleep 1001 >/dev/null 2>&1 & exit 6"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, exited := collect(t, s); exited.Code != 6 {
		t.Errorf("%+v", exited)
	}
	until(t, "the process in the background sleeps", func() bool { return c.sleeps(t) == 1 })
	time.Sleep(20 * time.Millisecond) // nothing tells when nothing is done
	if n := c.sleeps(t); n != 1 {
		t.Errorf("%d processes in the background, want 1", n)
	}
}
