package conmon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

func checked(test string, change func(*Health)) func(*specs.Spec, *Setup) {
	return func(_ *specs.Spec, s *Setup) {
		s.Health = &Health{Args: []string{"/bin/sh", "-c", test}, Interval: 20 * time.Millisecond, Timeout: 20 * time.Second,
			StartInterval: 20 * time.Millisecond, Retries: 1}
		s.StopSignal, s.StopTimeout = int(unix.SIGTERM), 50*time.Millisecond
		if change != nil {
			change(s.Health)
		}
	}
}

// healthIs waits for what is written of a container's health.
func (c *testContainer) healthIs(t *testing.T, met func(*store.Health) bool) *store.Health {
	t.Helper()
	var h *store.Health
	until(t, "health", func() bool {
		var err error
		if h, err = store.ReadHealth(c.Dir); err != nil {
			t.Fatal(err)
		}
		return h != nil && met(h)
	})
	return h
}

func TestHealthFollowsItsChecks(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "exec sleep 1000", checked("echo $FOO; test ! -e /ill", func(h *Health) { h.Retries = 2 }))
	c.start(t, [3]*os.File{})
	h := c.healthIs(t, func(h *store.Health) bool { return h.Status == store.HealthHealthy && len(h.Log) == 5 })
	if h.FailingStreak != 0 || h.Log[0].ExitCode != 0 || h.Log[0].End.Before(h.Log[0].Start) {
		t.Errorf("%+v", h)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "upper", "unused"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	process := &specs.Process{Args: []string{"sh", "-c", "echo >/ill"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true, Stderr: true}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, s)
	h = c.healthIs(t, func(h *store.Health) bool { return h.Status == store.HealthUnhealthy })
	if last := h.Log[len(h.Log)-1]; h.FailingStreak < 2 || last.ExitCode != 1 {
		t.Errorf("%+v", h)
	}
}

func TestFailuresInTheStartPeriodDoNotCount(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "exec sleep 1000", checked("exit 1", func(h *Health) { h.StartPeriod, h.Interval = time.Hour, time.Hour }))
	c.start(t, [3]*os.File{})
	if h := c.healthIs(t, func(h *store.Health) bool { return len(h.Log) == 5 }); h.Status != store.HealthStarting || h.FailingStreak != 0 {
		t.Errorf("%+v", h)
	}
}

func TestCheckThatTakesTooLongIsKilledWithItsFamily(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "exec sleep 1000", checked("echo word; sleep 1000 & sleep 1000", func(h *Health) {
		h.Timeout, h.Interval, h.StartInterval = 6*time.Second, time.Hour, 20*time.Millisecond
		h.StartPeriod = time.Nanosecond
	}))
	c.start(t, [3]*os.File{})
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got, err := client.Check()
	if err != nil || got.ExitCode != -1 || got.Status != store.HealthUnhealthy {
		t.Errorf("%+v, %v", got, err)
	}
	h := c.healthIs(t, func(h *store.Health) bool { return len(h.Log) == 1 })
	if !strings.HasPrefix(h.Log[0].Output, "Health check exceeded timeout (6s): word") {
		t.Errorf("%+v", h)
	}
	if left := c.processes(t); left != 1 {
		t.Errorf("%d processes are left of the container, want its first one", left)
	}
}

// processes counts those of the container.
func (c *testContainer) processes(t *testing.T) int {
	t.Helper()
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var count func(pid int)
	count = func(pid int) {
		for _, child := range childrenOf(pid) {
			if _, lives := look(child); lives {
				n++
			}
			count(child)
		}
	}
	count(state.Shim.PID)
	return n
}

func TestOutputOfAHealthCheckIsBounded(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "exec sleep 1000", checked("seq 1 100000", nil))
	c.start(t, [3]*os.File{})
	h := c.healthIs(t, func(h *store.Health) bool { return len(h.Log) > 0 })
	if text := h.Log[0].Output; len(text) != healthOutput+3 || !strings.HasSuffix(text, "...") || h.Status != store.HealthHealthy {
		t.Errorf("%d bytes, %s", len(text), h.Status)
	}
}

func TestUnhealthyContainerIsKilledStoppedOrRestarted(t *testing.T) {
	needStatic(t)
	for _, action := range []string{"kill", "stop", "restart"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			c := create(t, "test -e /second && exec sleep 1000; echo >/second; exec sleep 1000", checked("exit 1", func(h *Health) { h.OnFailure = action }))
			c.start(t, [3]*os.File{})
			if action == "restart" {
				c.stateIs(t, func(s *store.State) bool { return s.RestartCount > 0 && s.Status == store.Running })
				client, err := Dial(c.Container)
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				if err := client.Signal(t.Context(), int(unix.SIGKILL), true); err != nil && !errors.Is(err, ErrGone) {
					t.Fatal(err)
				}
			}
			state := c.stateIs(t, func(s *store.State) bool { return s.Status == store.Exited })
			if state.ExitCode != 137 {
				t.Errorf("%+v", state)
			}
		})
	}
}

func TestContainerWithoutAHealthCheckSaysSo(t *testing.T) {
	t.Parallel()
	c := create(t, "exec sleep 1000", nil)
	c.start(t, [3]*os.File{})
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var failure *Failure
	if _, err := client.Check(); !errors.As(err, &failure) || !strings.Contains(failure.Text, "no health check") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "health.json")); !os.IsNotExist(err) {
		t.Errorf("health.json: %v", err)
	}
}
