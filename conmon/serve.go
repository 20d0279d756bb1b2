package conmon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// passedConn is the conversation that this process was handed under a name.
func passedConn(name string) (*wire.Conn, error) {
	f, err := userns.Passed(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("taking over descriptor %q: %w", name, err)
	}
	return wire.New(fd)
}

// listener accepts conversations on the container's socket.
type listener struct{ file *os.File }

// listen makes the socket in the container's folder, in place of one that a killed shim left.
func listen(dir string) (*listener, error) {
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("making the container's socket: %w", err)
	}
	folder, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making the container's socket: %w", err)
	}
	defer unix.Close(folder)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("making the container's socket: %w", err)
	}
	err = unix.Bind(fd, socketAddress(folder))
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making the container's socket: %w", err)
	}
	return &listener{os.NewFile(uintptr(fd), "listener")}, nil
}

// serve gives each conversation to a goroutine of its own, until the listener is closed.
func (l *listener) serve(converse func(*wire.Conn)) {
	wire.Accept(l.file, func(c *wire.Conn) { go converse(c) })
}

func (l *listener) close() {
	if l != nil {
		l.file.Close()
	}
}

// converse serves one conversation that a client opened.
func (s *shim) converse(c *wire.Conn) {
	k, body, files, err := c.Recv()
	if err != nil {
		c.Close()
		return
	}
	switch k {
	case kindAttach:
		wire.CloseAll(files)
		s.serveAttach(c, body)
	case kindExec:
		s.serveExec(c, body, files)
	case kindStart:
		wire.CloseAll(files)
		s.serveStart(c, body)
	case kindList:
		wire.CloseAll(files)
		c.Send(kindListed, Listed{s.listExecs()})
		c.Close()
	case kindCheck:
		wire.CloseAll(files)
		s.serveCheck(c)
	case kindPause, kindPolicy:
		wire.CloseAll(files)
		s.serveChange(c, k, body)
	case kindSignal:
		wire.CloseAll(files)
		s.serveSignal(c, body)
		c.Close()
	case kindWait:
		wire.CloseAll(files)
		if s.join(c) {
			c.Recv() // the client says nothing more; it may leave
			s.leave(c)
		}
	default:
		wire.CloseAll(files)
		c.Close()
	}
}

func (s *shim) serveSignal(c *wire.Conn, body []byte) {
	request, err := wire.Decode[SignalRequest](body)
	if err == nil {
		n := unix.Signal(request.Signal)
		last := request.Last || s.isLast(n)
		if !last {
			s.settled()
		}
		err = s.signal(n, last)
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil // it is ending: the signal came in time, as far as anybody can tell
	}
	if err != nil {
		c.Send(kindFailure, failure(err))
		return
	}
	c.Send(kindDone, nil)
}

// serveAttach connects a further client to the container's streams.
func (s *shim) serveAttach(c *wire.Conn, body []byte) {
	attach, err := wire.Decode[Attach](body)
	if err != nil {
		c.Send(kindFailure, failure(err))
		c.Close()
		return
	}
	s.attachTo(c, attach)
}

func (s *shim) attachTo(c *wire.Conn, attach Attach) {
	l := s.settled()
	var err error
	if l == nil {
		err = errRestarting
	} else if !l.target.serves(attach) {
		err = &Failure{Code: 125, Text: "the container's output goes straight to the command that started it",
			Hint: "start it with -d or -t, or without --rm, to attach to it later"}
	}
	if err != nil {
		c.Send(kindFailure, failure(err))
		c.Close()
		return
	}
	if !s.join(c) {
		return
	}
	s.resize(l.target, attach.Size)
	if l.target.hub.welcome(c, attach, l.pid) != nil {
		s.leave(c)
		return
	}
	s.attend(c, l.target, attach)
}

// serves tells whether an attached client would see what it asked for.
func (t *target) serves(a Attach) bool {
	return len(t.outputs) > 0 || !a.Stdout && !a.Stderr
}

// attend carries out what an attached client of the container says, until it leaves.
func (s *shim) attend(c *wire.Conn, t *target, attach Attach) {
	if s.listenTo(c, t, attach, true) {
		s.tell("detach")
	}
	t.hub.remove(c)
	// A terminal outlives whoever types into it: closing it would be a hang-up.
	if attach.Stdin && s.setup.StdinOnce && t.console == nil {
		t.stdin.close()
	}
	s.leave(c)
}

// listenTo reads a client's messages until it leaves; first says that they are for the
// container's first process, detached that it left on purpose. Input is written by a
// goroutine of its own, so that signals overtake input that nobody reads.
func (s *shim) listenTo(c *wire.Conn, t *target, attach Attach, first bool) (detached bool) {
	input := make(chan []byte, stdinWindow)
	defer close(input)
	go func() {
		for data := range input {
			if data == nil {
				t.endInput()
				continue
			}
			t.stdin.write(data)
			c.Send(kindStdinTaken, nil)
		}
	}()
	for {
		k, body, files, err := c.Recv()
		wire.CloseAll(files)
		if err != nil {
			return detached
		}
		switch k {
		case kindDetach:
			detached = true
		case kindStdin:
			if attach.Stdin {
				input <- append([]byte(nil), body...)
			}
		case kindStdinEOF:
			if attach.Stdin && (s.setup.StdinOnce || !first) {
				input <- nil
			}
		case kindResize:
			if size, err := wire.Decode[Size](body); err == nil {
				if first {
					s.resize(t, size)
				} else {
					t.setSize(size)
				}
			}
		case kindSignal:
			if request, err := wire.Decode[SignalRequest](body); err == nil {
				s.pass(t, unix.Signal(request.Signal), first)
			}
		}
	}
}

// resize gives the container's terminal a client's size.
func (s *shim) resize(t *target, size Size) {
	t.setSize(size)
	s.tellSize(t, size)
}

// pass sends a signal that an attached client got to the process it is attached to.
func (s *shim) pass(t *target, n unix.Signal, first bool) {
	if first && s.isLast(n) {
		s.mu.Lock()
		s.last = true
		s.mu.Unlock()
	}
	t.signal(n)
}

// endInput closes a pipe. A terminal has no end of input of its own: the client's
// end of file is typed as a terminal's, control-D.
func (t *target) endInput() {
	if t.console != nil {
		t.stdin.write([]byte{4})
		return
	}
	t.stdin.close()
}

// join enters a client among those who are told the end. Where that has come
// already it is told now, and false comes back.
func (s *shim) join(c *wire.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		c.Close() // as when the shim had gone: the client looks at state.json
		return false
	}
	s.clients[c] = struct{}{}
	return true
}

// leave forgets a client.
func (s *shim) leave(c *wire.Conn) {
	s.mu.Lock()
	_, known := s.clients[c]
	delete(s.clients, c)
	s.mu.Unlock()
	if known {
		c.Close()
	}
}
