package conmon

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// running is a process that exec started.
type running struct {
	*target
	id  string // "" of a health check
	pid int
}

// serveExec starts a further process in the container and serves its client. When
// the client leaves, the process is ended with all that it has started, unless it was
// asked to outlive it.
func (s *shim) serveExec(c *wire.Conn, body []byte, files []*os.File) {
	request, err := wire.Decode[ExecRequest](body)
	if err != nil || request.Process == nil {
		wire.CloseAll(files)
		c.Send(kindFailure, &Failure{Code: 125, Text: "decoding the request: no process"})
		c.Close()
		return
	}
	if request.ID == "" {
		request.ID = store.NewID()
	}
	r, err := s.exec(c, &request, files)
	if err != nil {
		c.Send(kindFailure, failure(err))
		c.Close()
		return
	}
	r.hub.add(c, request.Attach)
	c.Send(kindStarted, Started{r.pid})
	r.pump()
	if request.Detach {
		c.Close()
		s.ended(r, <-r.target.ended)
		return
	}
	left, over := make(chan struct{}), make(chan struct{})
	go func() {
		detached := s.listenTo(c, r.target, request.Attach, false)
		if detached {
			s.tell("exec_detach", "execID", r.id)
		}
		close(left)
		r.hub.remove(c)
		select {
		case <-over: // by itself: what it has left in the background may stay, as with docker
		default:
			if !detached {
				s.endFamily(r)
			}
		}
	}()
	status := <-r.target.ended
	close(over)
	s.ended(r, status)
	c.Send(kindExited, Exited{Code: exitCode(status)})
	c.Close()
	<-left
}

// ended is the end of a process of exec.
func (s *shim) ended(r *running, status unix.WaitStatus) {
	s.forget(r)
	r.drain()
	s.tell("exec_die", "execID", r.id, "exitCode", fmt.Sprint(exitCode(status)))
}

// exec starts the process of a client's request.
func (s *shim) exec(c *wire.Conn, request *ExecRequest, files []*os.File) (*running, error) {
	var direct [3]*os.File
	rest := files
	for i, wanted := range request.Direct {
		if wanted && len(rest) > 0 {
			direct[i], rest = rest[0], rest[1:]
		}
	}
	defer wire.CloseAll(files)
	l := s.settled()
	if l == nil {
		return nil, errRestarting
	}
	if s.foreign != nil && (request.Unconfined || request.Preserve > 0) {
		return nil, &Failure{Code: 125, Text: "exec --privileged and --preserve-fds need skiff's own runtime"}
	}
	root := fmt.Sprintf("/proc/%d/root", l.pid)
	if err := completeUser(request.Process, root, request.User, request.GroupAdd); err != nil {
		return nil, err
	}
	if request.Detach && !request.Process.Terminal {
		var err error
		if direct, err = nulls(direct); err != nil {
			return nil, err
		}
		defer wire.CloseAll(direct[:])
	}
	io, err := newStdio(request.Process, request.Attach.Stdin, direct)
	if err != nil {
		return nil, err
	}
	io.own(l.ids.outside(request.Process.User))
	defer io.closeTheirs()
	e := &oci.Exec{Process: request.Process, Seccomp: l.seccomp, Stdio: io.theirs, KeepGroups: oci.KeepsGroups(l.spec)}
	e.Preserve, e.FilterFlags = rest[:min(max(request.Preserve, 0), len(rest))], s.setup.SeccompFlags
	if request.Unconfined {
		e.Seccomp, e.FilterFlags = nil, 0
	}
	request.Attach.Size.giveTo(request.Process)
	s.tell("exec_create: "+commandLine(e.Process.Args), "execID", request.ID)
	r, err := s.spawn(&spawning{life: l, exec: e, io: io, id: request.ID, client: c})
	if err != nil {
		io.closeOurs()
		return nil, err
	}
	s.tell("exec_start: "+commandLine(e.Process.Args), "execID", r.id)
	return r, nil
}

// spawning is the start of a process by exec.
type spawning struct {
	life *life
	exec *oci.Exec
	io   *stdio
	id   string // "": a process that is not listed

	client    *wire.Conn      // who has it ended by leaving; or nil
	limit     time.Duration   // how long the start may take; 0 is without end
	cancelled <-chan struct{} // gives up before it has begun; or nil
}

// spawn starts a process on the main thread.
func (s *shim) spawn(p *spawning) (r *running, err error) {
	done := make(chan struct{})
	job := func() {
		defer close(done)
		r, err = s.fork(p)
	}
	select {
	case s.jobs <- job:
		<-done
	case <-p.cancelled:
		return nil, errRestarting
	}
	return r, err
}

// fork is spawn's part on the main thread.
func (s *shim) fork(p *spawning) (*running, error) {
	l := p.life
	if s.current() != l {
		return nil, errRestarting
	}
	if l.paused {
		return nil, errPaused
	}
	g := &guard{stage: -1, init: int(l.init.Fd()), client: p.client, limit: p.limit}
	defer g.release()
	group, err := s.openGroup(l.pid)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	p.exec.Init, p.exec.Created, p.exec.Cgroup = l.init, g.created, group
	if s.sharedPIDs { // one that ends at once would be reaped as an orphan
		defer s.children.expect()()
	}
	var started *oci.Started
	ended, err := s.children.start(func() (int, error) {
		var err error
		if s.foreign != nil {
			started, err = s.foreign.exec(p)
		} else {
			started, err = p.exec.Start()
		}
		if err != nil {
			return 0, err
		}
		return started.Process.PID, nil
	})
	if err != nil {
		return nil, err
	}
	pid := started.Process.PID
	t := newTarget(p.io, started.Console, nil, ended, func(n unix.Signal) error { return s.children.signal(pid, n) })
	r := &running{t, p.id, pid}
	s.mu.Lock()
	s.execs = append(s.execs, r)
	s.mu.Unlock()
	return r, nil
}

// listExecs lists the processes that clients have started and that run.
func (s *shim) listExecs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, r := range s.execs {
		if r.id != "" {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// forget takes a process that has ended off the list.
func (s *shim) forget(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.execs = slices.DeleteFunc(s.execs, func(other *running) bool { return other == r })
}

// endExecs ends what exec has started where no PID namespace ends with the first process: a
// further life could not mount the root that they use. What they leave are orphans.
func (s *shim) endExecs() {
	s.mu.Lock()
	execs := slices.Clone(s.execs)
	s.mu.Unlock()
	for _, r := range execs {
		r.signal(unix.SIGKILL)
	}
	deadline := time.Now().Add(endLimit)
	for _, r := range execs {
		for s.children.has(r.pid) && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond) // they need a moment to go
		}
	}
}

// endLimit is how long a killed process may take to end.
const endLimit = 10 * time.Second

// nulls fills the streams of a detached process that nobody reads or writes.
func nulls(direct [3]*os.File) ([3]*os.File, error) {
	for i := range direct {
		if direct[i] != nil {
			continue
		}
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			wire.CloseAll(direct[:])
			return direct, err
		}
		direct[i] = null
	}
	return direct, nil
}
