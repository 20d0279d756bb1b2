package conmon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// stopStage starts processes in a container until one of their stages could be
// stopped before it executed its program, as root of the container can do it too.
// It returns a pidfd of the stage and the client that waits for it.
func stopStage(t *testing.T, c *testContainer) (stage int, client *Client) {
	t.Helper()
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if client, err = Dial(c.Container); err != nil {
			t.Fatal(err)
		}
		process := &specs.Process{Args: []string{"sleep", "1000"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
		answered := make(chan struct{})
		go func() {
			client.Exec(ExecRequest{Process: process}, [3]*os.File{})
			close(answered)
		}()
		if stage = stopChild(state.Shim.PID, state.Init.PID, answered); stage >= 0 {
			t.Cleanup(func() { unix.Close(stage) })
			return stage, client
		}
		client.Close()
	}
	t.Skip("no stage of exec could be stopped in time")
	return -1, nil
}

func stopChild(shim, init int, answered <-chan struct{}) int {
	for {
		select {
		case <-answered:
			return -1
		default:
		}
		list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shim, shim))
		for _, text := range strings.Fields(string(list)) {
			pid := 0
			fmt.Sscan(text, &pid)
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if pid == init || !bytes.HasPrefix(comm, []byte("skiff-exec")) {
				continue
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil || unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0) != nil {
				continue
			}
			if stopped(pid, "skiff-exec") {
				return fd
			}
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			unix.Close(fd)
		}
	}
}

// stopped waits until a signal to stop has taken effect, and tells whether the process
// is the one of that name still. One that is not may never stop: the kernel forgets a stop
// that has begun when a thread of many executes a program (zap_other_threads).
func stopped(pid int, name string) bool {
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // "pid (comm) state …", proc_pid_stat(5)
		if err != nil {
			return false
		}
		begin, rest := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if string(stat[begin+1:rest]) != name {
			return false
		}
		if state := stat[rest+2]; state == 'T' || state == 'Z' || state == 'X' {
			return state == 'T'
		}
	}
}

// A container whose root stops what exec starts in it can be killed all the same.
func TestStoppedExecDoesNotKeepTheContainer(t *testing.T) {
	needStatic(t)
	t.Parallel()
	for _, hostPID := range []bool{false, true} {
		t.Run(fmt.Sprintf("hostPID=%v", hostPID), func(t *testing.T) {
			c := create(t, "sleep 1000", func(s *specs.Spec, _ *Setup) {
				if hostPID {
					s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
				}
			})
			c.start(t, [3]*os.File{})
			stage, client := stopStage(t, c)
			defer client.Close()
			waiter, err := Dial(c.Container)
			if err != nil {
				t.Fatal(err)
			}
			killer, err := Dial(c.Container)
			if err != nil {
				t.Fatal(err)
			}
			if err := killer.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			e, err := waiter.Wait(ctx)
			if errors.Is(err, ErrGone) { // it has ended before we asked
				var state *store.State
				if state, err = c.State(); err == nil {
					e.Code = state.ExitCode
				}
			}
			if err != nil || e.Code != 137 {
				t.Errorf("%+v, %v", e, err)
			}
			if !ends(stage) {
				t.Error("the stage is left")
			}
		})
	}
}

// Whoever gives up waiting for a stopped exec frees the shim for the next one.
func TestStoppedExecEndsWithItsClient(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "sleep 1000", nil)
	c.start(t, [3]*os.File{})
	stage, client := stopStage(t, c)
	client.Close()
	if !ends(stage) {
		t.Fatal("the stage outlived its client")
	}
	process := &specs.Process{Args: []string{"echo", "hi"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true}})
	if err != nil {
		t.Fatal(err)
	}
	if out, _, e := collect(t, s); out != "hi\n" || e.Code != 0 {
		t.Errorf("%q, %+v", out, e)
	}
}

// raw connects to a shim without the manners of Client.
func raw(t *testing.T, c *testContainer) *wire.Conn {
	t.Helper()
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatalf("the shim does not listen any more: %v", err)
	}
	t.Cleanup(client.Close)
	return client.conn
}

// Nothing that is said on its socket ends a shim or its container.
func TestShimSurvivesNonsense(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "while :; do echo flood; done", func(_ *specs.Spec, s *Setup) { s.Log.Type = "none" })
	c.start(t, [3]*os.File{}).Close()
	bodies := []string{"", "{", "null", "[]", "0", `"x"`, "{}", `{"Signal":-1}`, `{"Signal":0}`, `{"Signal":4096}`, `{"Signal":"9"}`,
		`{"Process":null}`, `{"Process":{}}`, `{"Process":{"args":[]}}`, `{"Process":{"args":[""],"cwd":"/"}}`, `{"Process":{"args":["sh"]}}`,
		`{"Process":{"args":["sh\u0000"],"cwd":"/"}}`, `{"Process":{"args":["sh"],"cwd":"/","env":["\u0000"]},"User":"4294967295"}`,
		`{"Process":{"args":["sh"],"cwd":"/","terminal":true,"consoleSize":{"height":99999999,"width":1}},"Direct":[true,true,true]}`,
		`{"Process":{"args":["sh"],"cwd":"/","rlimits":[{"type":"RLIMIT_NOFILE"}],"capabilities":{"bounding":["CAP_X"]}}}`,
		`{"Process":{"args":["true"],"cwd":"/"},"Preserve":-1}`, `{"Process":{"args":["true"],"cwd":"/"},"Preserve":4096}`,
		`{"Rows":65536}`, `{"Stdin":1}`, strings.Repeat("[", 100<<10), strings.Repeat("\xff", wire.MaxPacket-1)}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	descriptor := int(null.Fd())
	for k := range 256 {
		for i, body := range bodies {
			if wire.Kind(k) == kindSignal && i >= 7 && i < 10 && strings.Contains(body, ":0") {
				continue
			}
			if k > int(kindDone)+1 && k != 255 && i > 1 {
				break // unknown ones are all alike
			}
			n := raw(t, c)
			var rights []byte
			if i%3 == 0 {
				rights = unix.UnixRights(slices.Repeat([]int{descriptor}, 1+i)...)
			}
			sendRaw(n, append([]byte{byte(k)}, body...), rights)
			sendRaw(n, []byte{byte(kindStdin)}, nil) // and once more, in whatever comes of it
			n.Close()
		}
	}
	// Some who attach and never read, some who say nothing at all.
	for i := range 200 {
		if n := raw(t, c); i%20 == 0 {
			sendRaw(n, append([]byte{byte(kindAttach)}, `{"Stdout":true}`...), nil)
		}
	}
	process := &specs.Process{Args: []string{"echo", "hi"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true}})
	if err != nil {
		t.Fatal(err)
	}
	if out, _, e := collect(t, s); out != "hi\n" || e.Code != 0 {
		t.Errorf("%q, %+v", out, e)
	}
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Signal(t.Context(), int(unix.SIGKILL), true); err != nil && !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

// sendRaw sends what no client would.
func sendRaw(c *wire.Conn, packet, rights []byte) (err error) {
	if e := c.Control(func(fd uintptr) { err = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL) }); e != nil {
		return e
	}
	return err
}
