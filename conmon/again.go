package conmon

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// errRestarting is what a client hears that needs a first process, between two lives.
var errRestarting = &Failure{Code: 125, Text: "the container is restarting", Hint: "wait until it is running"}

// starter is a client who waits for the next start.
type starter struct {
	conn   *wire.Conn
	attach Attach
}

// decide tells whether another life follows the one that has ended, and after what
// pause. Once it is decided, only [shim.rest] hears of a wish for the end.
func (s *shim) decide(code int, lasted time.Duration) (pause time.Duration, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = nil
	switch {
	case s.last:
		return 0, false
	case s.forced:
		s.forced = false
		return s.policy.backOff(lasted), true
	}
	return s.policy.after(code, lasted)
}

// again starts the container anew after a pause, and comes back with nil where it is to
// end instead, or where the start goes wrong: as docker's, such a container has ended with
// the code of its last life, and its state tells why. Between two lives nothing is mounted
// and no process is there; the socket stays. The folder's lock keeps others away from the
// files during a start.
func (s *shim) again(l *life, exited Exited, pause time.Duration) *life {
	s.unmount(l)
	s.state.Status, s.state.Init, s.state.ExitCode, s.state.FinishedAt = store.Restarting, store.ProcessID{}, exited.Code, time.Now().UTC()
	s.state.RestartCount++
	store.WriteState(s.setup.Dir, &s.state, s.durability())
	exited.Again = true
	s.announce(exited)
	exited.Again = false
	if !s.rest(pause) {
		s.conclude(nil, exited)
		return nil
	}
	l, err := s.restart()
	if err != nil {
		why := failure(err)
		s.state.Error = why.Text
		s.refuse(why)
		s.conclude(l, exited)
		return nil
	}
	return l
}

// rest waits for the time of the next start, or for somebody who asks for it now. It
// tells false where the container is to end instead.
func (s *shim) rest(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case job := <-s.jobs: // an exec that came too late, which fails by itself
			job()
			continue
		case <-timer.C:
		case <-s.poke:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.last
	}
}

// restart is a start that nobody waits for, or only those who came meanwhile.
func (s *shim) restart() (l *life, err error) {
	c, err := s.store.Find(s.setup.Container)
	if err != nil {
		return nil, err
	}
	lock, _, err := c.LockChange()
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	defer s.underWay()()
	if err := s.network.renew(); err != nil {
		return nil, err
	}
	if l, err = s.begin(); err != nil {
		s.undo(l)
		return l, err
	}
	s.welcome(l)
	return l, nil
}

// underWay keeps whoever needs a first process waiting, [shim.settled], until settle is called.
// Before it comes [store.Container.LockChange]: one who holds that lock may be among them.
func (s *shim) underWay() (settle func()) {
	done := make(chan struct{})
	s.mu.Lock()
	s.coming = done
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.coming = nil
		s.mu.Unlock()
		close(done)
	}
}

// current is the life that the container is in; nil where its first process has
// ended and none has followed yet.
func (s *shim) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// settled is [shim.current] after a start that is under way, of which the state tells before
// there is a life to be met. Not for the main thread, which starts.
func (s *shim) settled() *life {
	s.mu.Lock()
	coming := s.coming
	s.mu.Unlock()
	if coming != nil {
		<-coming
	}
	return s.current()
}

// undo takes back a start that went wrong.
func (s *shim) undo(l *life) {
	s.network.end(false, true)
	if l.log != nil {
		l.log.close()
	}
	if l.init != nil {
		l.init.Close()
	}
}

// welcome makes a life the current one and tells those who waited for it.
func (s *shim) welcome(l *life) {
	s.tell("start")
	s.accompany(l)
	s.mu.Lock()
	s.now = l
	starters := s.starters
	s.starters = nil
	last := s.last
	s.mu.Unlock()
	for _, st := range starters {
		s.greet(st, l)
	}
	l.target.pump()
	if s.network != nil {
		go s.network.watch()
	}
	if last { // who asked for the end meanwhile found no process
		l.target.signal(unix.SIGKILL)
	}
}

// greet tells one who waited for a start of it, and attaches it.
func (s *shim) greet(st starter, l *life) {
	s.join(st.conn)
	l.target.hub.add(st.conn, st.attach)
	s.resize(l.target, st.attach.Size)
	if st.conn.Send(kindStarted, Started{l.pid}) != nil {
		s.leave(st.conn)
	}
	go s.attend(st.conn, l.target, st.attach)
}

// refuse tells those who wait for a start that there is none.
func (s *shim) refuse(why *Failure) {
	s.mu.Lock()
	starters := s.starters
	s.starters = nil
	s.mu.Unlock()
	for _, st := range starters {
		st.conn.Send(kindFailure, why)
		st.conn.Close()
	}
}

// serveStart starts a container that waits for its next start now.
func (s *shim) serveStart(c *wire.Conn, body []byte) {
	attach, err := wire.Decode[Attach](body)
	if err != nil {
		c.Send(kindFailure, failure(err))
		c.Close()
		return
	}
	s.mu.Lock()
	l, waits := s.now, s.now == nil && !s.last && !s.over
	if waits {
		s.starters = append(s.starters, starter{c, attach})
	}
	s.mu.Unlock()
	switch {
	case waits:
		s.prod()
	case l == nil: // it is ending: who asks again finds it ended
		c.Close()
	default:
		s.attachTo(c, attach)
	}
}

// prod ends the pause between two lives.
func (s *shim) prod() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// signal sends a signal to the first process. With last the container is not started
// again after its end, and ends at once where it waits for that.
func (s *shim) signal(n unix.Signal, last bool) error {
	s.mu.Lock()
	l := s.now
	s.last = s.last || last
	s.mu.Unlock()
	if l != nil {
		err := l.target.signal(n)
		if last {
			s.unpauseToEnd()
		}
		return err
	}
	if last {
		s.prod()
		return nil
	}
	return errRestarting
}

// isLast tells whether a signal that no command has commented on asks for the
// container's end: then no policy starts it again.
func (s *shim) isLast(n unix.Signal) bool {
	return n == unix.SIGKILL || n == unix.SIGTERM || n == unix.SIGINT || n == unix.SIGQUIT || int(n) == s.setup.StopSignal
}

// rejoin makes the namespaces of other containers lead to those that they have now, by
// the numbers of processes: [shim.stillJoined] tells whether those meant the same ones.
func (s *shim) rejoin(spec *specs.Spec) error {
	s.joined = nil
	for i := range spec.Linux.Namespaces {
		n := &spec.Linux.Namespaces[i]
		id := s.setup.Joined[n.Type]
		if id == "" {
			continue
		}
		c, err := s.store.Find(id)
		if err != nil {
			return err
		}
		state, err := c.State()
		if err != nil {
			return err
		}
		if !state.Alive() {
			return fmt.Errorf("joining the %s namespace of container %.12s, which does not run", n.Type, id)
		}
		n.Path = fmt.Sprintf("/proc/%d/ns/%s", state.Init.PID, namespaceFile(n.Type))
		s.joined = append(s.joined, state.Init)
	}
	return nil
}

// stillJoined refuses namespaces that were opened by the numbers of processes of which one
// has ended since: the number may have come to mean another one. Until now nothing was
// executed in them.
func (s *shim) stillJoined() error {
	for _, init := range s.joined {
		pidfd, err := init.Open()
		if err != nil {
			return err
		}
		if pidfd == nil {
			return errors.New("joining the namespaces of a container that has just ended")
		}
		pidfd.Close()
	}
	return nil
}

// namespaceFile is a namespace's name in /proc/PID/ns (namespaces(7)).
func namespaceFile(t specs.LinuxNamespaceType) string {
	switch t {
	case specs.NetworkNamespace:
		return "net"
	case specs.MountNamespace:
		return "mnt"
	}
	return string(t)
}
