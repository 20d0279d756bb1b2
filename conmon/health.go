package conmon

import (
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// What is kept of health checks (as Docker does).
const (
	healthOutput  = 4096 // bytes of each one's output
	healthResults = 5
)

// health asks for the health of one life, in a goroutine of its own.
type health struct {
	shim  *shim
	life  *life
	state store.Health
	now   chan chan<- store.Health // a check that somebody wants at once
	stop  chan struct{}            // closed at the life's end
	done  chan struct{}
}

// watchHealth begins to ask for a life's health, where that is wanted.
func (s *shim) watchHealth(l *life) {
	if s.setup.Health == nil {
		return
	}
	h := &health{shim: s, life: l, state: store.Health{Status: store.HealthStarting, Log: []store.HealthResult{}},
		now: make(chan chan<- store.Health), stop: make(chan struct{}), done: make(chan struct{})}
	h.write()
	l.health = h
	go h.watch()
}

// end stops asking. For compatibility a container that has ended is unhealthy.
func (h *health) end() {
	if h == nil {
		return
	}
	close(h.stop)
	<-h.done
	h.state.Status = store.HealthUnhealthy
	h.write()
}

func (h *health) watch() {
	defer close(h.done)
	timer := time.NewTimer(h.interval())
	defer timer.Stop()
	for {
		select {
		case <-h.stop:
			return
		case asked := <-h.now:
			h.note(h.check())
			asked <- h.state
		case <-timer.C:
			h.note(h.check())
		}
		timer.Reset(h.interval())
	}
}

// interval is the time to the next check.
func (h *health) interval() time.Duration {
	setup := h.shim.setup.Health
	if h.state.Status == store.HealthStarting && h.starting(time.Now()) {
		return setup.StartInterval
	}
	return setup.Interval
}

// starting tells whether a time lies in the start period, in which failures do not count.
func (h *health) starting(at time.Time) bool {
	return at.Sub(h.life.started) < h.shim.setup.Health.StartPeriod
}

// note takes a result into account. One that the container's end came before is none.
func (h *health) note(r store.HealthResult) {
	select {
	case <-h.stop:
		return
	default:
	}
	setup, was := h.shim.setup.Health, h.state.Status
	if n := len(h.state.Log) + 1 - healthResults; n > 0 {
		h.state.Log = append([]store.HealthResult{}, h.state.Log[n:]...)
	}
	h.state.Log = append(h.state.Log, r)
	switch {
	case r.ExitCode == 0:
		h.state.FailingStreak, h.state.Status = 0, store.HealthHealthy
	case was == store.HealthStarting && h.starting(r.Start):
	default:
		if h.state.FailingStreak++; h.state.FailingStreak >= setup.Retries {
			h.state.Status = store.HealthUnhealthy
		}
	}
	if h.state.Status != was { // first: who waits for it finds it in the journal
		h.shim.tell("health_status: " + h.state.Status)
	}
	h.write()
	if h.state.Status != was && h.state.Status == store.HealthUnhealthy {
		h.react(setup.OnFailure)
	}
}

func (h *health) write() { store.WriteHealth(h.shim.setup.Dir, &h.state) }

// react does what is to be done with an unhealthy container. The policy decides what
// follows "kill", and nothing follows "stop".
func (h *health) react(action string) {
	s, t := h.shim, h.life.target
	switch action {
	case "kill":
		t.signal(unix.SIGKILL)
		return
	case "restart", "stop":
		s.mu.Lock()
		s.forced = action == "restart"
		s.last = s.last || action == "stop"
		s.mu.Unlock()
	default:
		return
	}
	t.signal(unix.Signal(s.setup.StopSignal))
	if s.setup.StopTimeout >= 0 {
		limit := time.AfterFunc(s.setup.StopTimeout, func() { t.signal(unix.SIGKILL) })
		h.life.timers = append(h.life.timers, limit)
	}
}

// check runs the container's test once, as the container's user, in its environment.
func (h *health) check() (r store.HealthResult) {
	r.Start = time.Now().UTC()
	defer func() { r.End = time.Now().UTC() }()
	setup := h.shim.setup.Health
	process := *h.life.spec.Process
	process.Args, process.Terminal, process.ConsoleSize = setup.Args, false, nil
	output := &capture{room: healthOutput}
	running, err := h.start(&process, output)
	if err != nil {
		r.ExitCode, r.Output = -1, err.Error()
		return r
	}
	limit := time.NewTimer(setup.Timeout)
	defer limit.Stop()
	r.ExitCode = -1
	late := false
	select {
	case status := <-running.ended:
		r.ExitCode = exitCode(status)
	case <-limit.C:
		late = true
		h.shim.endFamily(running)
		<-running.ended
	case <-h.stop:
		h.shim.endFamily(running)
		<-running.ended
	}
	h.shim.forget(running)
	running.drain()
	r.Output = output.text()
	if late {
		r.Output = tooLate(setup.Timeout, r.Output)
	}
	return r
}

func tooLate(limit time.Duration, output string) string {
	text := fmt.Sprintf("Health check exceeded timeout (%v)", limit)
	if output != "" {
		text += ": " + output
	}
	return text
}

// start starts the test; what it writes is captured.
func (h *health) start(process *specs.Process, output *capture) (*running, error) {
	io, err := newStdio(process, false, [3]*os.File{})
	if err != nil {
		return nil, err
	}
	defer io.closeTheirs()
	io.own(h.life.ids.outside(process.User))
	e := &oci.Exec{Process: process, Seccomp: h.life.seccomp, Stdio: io.theirs, KeepGroups: oci.KeepsGroups(h.life.spec)}
	e.FilterFlags = h.shim.setup.SeccompFlags
	r, err := h.shim.spawn(&spawning{life: h.life, exec: e, io: io, limit: h.shim.setup.Health.Timeout, cancelled: h.stop})
	if err != nil {
		io.closeOurs()
		return nil, err
	}
	r.hub.capture = output
	r.pump()
	return r, nil
}

// serveCheck runs the health check of a client's at once.
func (s *shim) serveCheck(c *wire.Conn) {
	defer c.Close()
	l := s.settled()
	switch {
	case l == nil:
		c.Send(kindFailure, errRestarting)
		return
	case l.health == nil:
		c.Send(kindFailure, &Failure{Code: 125, Text: "the container has no health check", Hint: "give it one by --health-cmd"})
		return
	}
	answer := make(chan store.Health, 1)
	select {
	case l.health.now <- answer:
	case <-l.health.done:
		return
	}
	select {
	case state := <-answer:
		c.Send(kindChecked, Checked{state.Status, state.Log[len(state.Log)-1].ExitCode})
	case <-l.health.done:
	}
}
