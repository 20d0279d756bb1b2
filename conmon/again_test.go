package conmon

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// enough is how long a test waits for what must come. It measures nothing.
const enough = time.Minute

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(enough); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %s", enough, what)
		}
	}
}

// stateIs waits for a state of the container.
func (c *testContainer) stateIs(t *testing.T, met func(*store.State) bool) *store.State {
	t.Helper()
	var state *store.State
	until(t, "state", func() bool {
		var err error
		if state, err = c.State(); err != nil {
			t.Fatal(err)
		}
		return met(state)
	})
	return state
}

func restarting(name string, most int) func(*specs.Spec, *Setup) {
	return func(_ *specs.Spec, s *Setup) {
		s.Restart = store.RestartPolicy{Name: name, MaximumRetryCount: most}
		s.StopSignal = int(unix.SIGTERM)
		s.StopTimeout = 100 * time.Millisecond
	}
}

func TestFailingContainerIsStartedAgainAsOftenAsAsked(t *testing.T) {
	t.Parallel()
	c := create(t, "echo life; exit 3", restarting("on-failure", 2))
	c.start(t, [3]*os.File{}).Close()
	state := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited })
	if state.RestartCount != 2 || state.ExitCode != 3 || state.UserStopped {
		t.Errorf("%+v", state)
	}
	lives := 0
	for _, r := range readLog(t, c.Dir) {
		lives += strings.Count(r.Log, "life")
	}
	if lives != 3 {
		t.Errorf("%d lives", lives)
	}
}

func TestRootFileSystemIsTheSameInTheNextLife(t *testing.T) {
	t.Parallel()
	c := create(t, "test -e /seen && exit 7; echo 1 >/seen; exit 1", restarting("on-failure", 1))
	c.start(t, [3]*os.File{}).Close()
	if state := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited }); state.ExitCode != 7 {
		t.Errorf("%+v", state)
	}
}

func TestAttachedClientHearsTheEndOfItsLife(t *testing.T) {
	t.Parallel()
	c := create(t, "exit 4", func(spec *specs.Spec, s *Setup) { attached(spec, s); restarting("on-failure", 1)(spec, s) })
	if _, _, exited := collect(t, c.start(t, [3]*os.File{})); exited.Code != 4 || !exited.Again {
		t.Errorf("%+v", exited)
	}
	c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited })
}

// between starts a container and waits until it rests for long between two lives.
func between(t *testing.T, script string) *testContainer {
	t.Helper()
	c := create(t, script, restarting("always", 0))
	c.start(t, [3]*os.File{}).Close()
	c.stateIs(t, func(s *store.State) bool { return s.RestartCount >= 5 && s.Status == store.Restarting })
	return c
}

// Who finds the next life in the container's state meets it, however late the shim gets to it.
func TestALifeIsServedAsSoonAsItIsTold(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "test -e /seen && exec sleep 1000; echo 1 >/seen; sleep 2; exit 1", func(spec *specs.Spec, s *Setup) {
		restarting("always", 0)(spec, s)
		s.Attributes = map[string]string{"name": "again"}
	})
	c.start(t, [3]*os.File{}).Close()
	c.stateIs(t, func(s *store.State) bool { return s.Status == store.Running })
	journal := filepath.Join(filepath.Dir(filepath.Dir(c.Dir)), "events", "journal")
	file, err := os.Open(journal)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c.stateIs(t, func(s *store.State) bool { return s.RestartCount == 1 })
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil { // the shim tells of its start there
		t.Fatal(err)
	}
	c.stateIs(t, func(s *store.State) bool { return s.Status == store.Running })
	answer := make(chan error, 1)
	go func() { answer <- signalTo(t, c, unix.SIGWINCH, false) }()
	time.Sleep(200 * time.Millisecond) // it is refused at once where nobody waits for the life
	file.Close()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if err := signalTo(t, c, unix.SIGKILL, true); err != nil {
		t.Error(err)
	}
}

func signalTo(t *testing.T, c *testContainer, n unix.Signal, last bool) error {
	client, err := Dial(c.Container)
	if err != nil {
		return err
	}
	return client.Signal(t.Context(), int(n), last)
}

func TestStopEndsARestBetweenTwoLives(t *testing.T) {
	t.Parallel()
	c := between(t, "exit 5")
	waiter, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Signal(t.Context(), int(unix.SIGTERM), true); err != nil {
		t.Fatal(err)
	}
	if exited, err := waiter.Wait(t.Context()); err != nil && !errors.Is(err, ErrGone) || exited.Again {
		t.Errorf("%+v, %v", exited, err)
	}
	state := c.stateIs(t, func(s *store.State) bool { return s.Status != store.Restarting })
	if state.Status != store.Exited || !state.UserStopped || state.ExitCode != 5 {
		t.Errorf("%+v", state)
	}
}

func TestStartEndsARestBetweenTwoLives(t *testing.T) {
	t.Parallel()
	c := between(t, "test -e /go && exec sleep 1000; test -e /once && exit 1; exit 1")
	before, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(c.Dir, "upper", "go"), nil, 0o644))
	client, err := Dial(c.Container)
	must(err)
	session, err := client.Start(Attach{})
	must(err)
	defer session.Close()
	state := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Running })
	if state.Init.PID == 0 || state.RestartCount < before.RestartCount {
		t.Errorf("%+v", state)
	}
	must(session.Signal(int(unix.SIGKILL)))
	if state := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited }); state.ExitCode != 137 || !state.UserStopped {
		t.Errorf("%+v", state)
	}
}

func TestNoProcessIsServedBetweenTwoLives(t *testing.T) {
	t.Parallel()
	c := between(t, "exit 1")
	defer func() {
		if client, err := Dial(c.Container); err == nil {
			client.Signal(context.Background(), int(unix.SIGKILL), true)
			client.Close()
		}
		c.waitGone(t)
	}()
	var failure *Failure
	process := &specs.Process{Args: []string{"sh"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	for met := true; met; { // a life that came meanwhile may have served it
		before := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Restarting })
		_, err := execIn(c, ExecRequest{Process: process})
		after, stateErr := c.State()
		if stateErr != nil {
			t.Fatal(stateErr)
		}
		met = after.Status != store.Restarting || after.RestartCount != before.RestartCount
		if !met && !errors.As(err, &failure) && !errors.Is(err, ErrGone) {
			t.Errorf("exec: %v", err)
		}
	}
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Signal(t.Context(), int(unix.SIGHUP), false); err != nil && !errors.As(err, &failure) {
		t.Errorf("a signal: %v", err)
	}
}

func TestKilledShimEndsARestBetweenTwoLives(t *testing.T) {
	t.Parallel()
	c := between(t, "exit 1")
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Shim.KillAndWait(enough); err != nil {
		t.Fatal(err)
	}
	if state, err = c.State(); err != nil || state.Status != store.Exited || state.Error != "the shim was killed" {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestContainerIsKilledWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	c := create(t, "trap '' TERM; sleep 1000", func(_ *specs.Spec, s *Setup) { s.Timeout = 50 * time.Millisecond })
	c.start(t, [3]*os.File{}).Close()
	state := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited })
	if state.ExitCode != 137 || !strings.Contains(state.Error, "longest") {
		t.Errorf("%+v", state)
	}
}

// Whoever asks between two lives, or while the next one begins, must not take the
// container for one that has ended: stop would do nothing.
func TestContainerIsUpAllTheTime(t *testing.T) {
	t.Parallel()
	c := create(t, "exit 1", restarting("on-failure", 4))
	c.start(t, [3]*os.File{}).Close()
	for {
		state, err := c.State()
		if err != nil {
			t.Fatal(err)
		}
		if state.Status == store.Exited {
			return
		}
		if !state.Up() {
			t.Fatalf("%+v", state)
		}
	}
}

// The number of a process that has ended may lead to another one's namespaces.
func TestNamespacesOfAnEndedProcessAreNotJoined(t *testing.T) {
	t.Parallel()
	owner := exec.Command("sleep", "1000")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := store.Identify(owner.Process.Pid)
	owner.Process.Kill()
	owner.Wait()
	if err != nil {
		t.Fatal(err)
	}
	s := &shim{setup: Setup{Dir: t.TempDir()}, joined: []store.ProcessID{id}}
	if err := s.identify(&life{}, os.Getpid()); err == nil || !strings.Contains(err.Error(), "has just ended") {
		t.Errorf("%v", err)
	}
}

// Without a PID namespace that ends with the first process, what exec has started ends with it too,
// and does not keep the next life from mounting the root.
func TestExecsEndBeforeTheNextLife(t *testing.T) {
	t.Parallel()
	c := create(t, "exec sleep 1000", func(spec *specs.Spec, s *Setup) {
		restarting("on-failure", 1)(spec, s)
		spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Type == "proc" })
	})
	c.start(t, [3]*os.File{}).Close()
	process := &specs.Process{Args: []string{"/bin/sh", "-c", "sleep 1000 & exec sleep 1000"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	session, err := execIn(c, ExecRequest{Process: process, Detach: true})
	if err != nil {
		t.Fatal(err)
	}
	session.Close()
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Init.KillAndWait(enough); err != nil {
		t.Fatal(err)
	}
	state = c.stateIs(t, func(s *store.State) bool {
		return s.Status == store.Running && s.RestartCount == 1 || s.Status == store.Exited
	})
	if state.Status != store.Running {
		t.Fatalf("%+v", state)
	}
	until(t, "nothing is listed", func() bool { return len(c.execs(t)) == 0 })
	if err := state.Init.KillAndWait(enough); err != nil {
		t.Fatal(err)
	}
	c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited })
}
