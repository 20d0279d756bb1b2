package conmon

import (
	"fmt"
	"os"
	"slices"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// running is a process that exec started.
type running struct {
	*target
	id   string
	life *life
	pid  int
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
		s.listenTo(c, r.target, request.Attach, false)
		close(left)
		r.hub.remove(c)
		select {
		case <-over: // by itself: what it has left in the background may stay, as with docker
		default:
			s.endFamily(r)
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
	l := s.current()
	if l == nil {
		return nil, errRestarting
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
	e.Preserve = rest[:min(request.Preserve, len(rest))]
	if request.Unconfined {
		e.Seccomp = nil
	}
	request.Attach.Size.giveTo(request.Process)
	s.tell("exec_create: "+commandLine(e.Process.Args), "execID", request.ID)
	r, err := s.spawn(c, l, e, io, request.ID)
	if err != nil {
		io.closeOurs()
	}
	return r, err
}

// spawn starts a process of exec on the main thread. A client who leaves meanwhile
// has it ended; nil is none.
func (s *shim) spawn(c *wire.Conn, l *life, e *oci.Exec, io *stdio, id string) (r *running, err error) {
	s.onMainThread(func() {
		if s.current() != l {
			err = errRestarting
			return
		}
		g := &guard{stage: -1, init: int(l.init.Fd()), client: c}
		defer g.release()
		e.Init, e.Created = l.init, g.created
		var started *oci.Started
		ended, startErr := s.children.start(func() (int, error) {
			var err error
			if started, err = e.Start(); err != nil {
				return 0, err
			}
			return started.Process.PID, nil
		})
		if startErr != nil {
			err = startErr
			return
		}
		pid := started.Process.PID
		t := newTarget(io, started.Console, nil, ended, func(n unix.Signal) error { return s.children.signal(pid, n) })
		r = &running{t, id, l, pid}
		s.execs = append(s.execs, r)
	})
	if err == nil {
		s.tell("exec_start: "+commandLine(e.Process.Args), "execID", id)
	}
	return r, err
}

// forget takes a process that has ended off the list.
func (s *shim) forget(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.execs = slices.DeleteFunc(s.execs, func(other *running) bool { return other == r })
}

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
