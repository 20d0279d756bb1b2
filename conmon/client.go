package conmon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// Client is a connection to the shim of a running container. It is good for one
// request: Attach, Exec, Signal, Start or Wait.
type Client struct{ conn *wire.Conn }

// ErrGone says that no shim serves the container: it does not run.
var ErrGone = errors.New("the container is not running")

// socketName lies in the container's folder, beside alive.
const socketName = "shim.sock"

// Dial connects to a container's shim, or returns ErrGone.
func Dial(c *store.Container) (*Client, error) {
	folder, err := unix.Open(c.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to container %.12s: %w", c.ID, err)
	}
	defer unix.Close(folder)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connecting to container %.12s: %w", c.ID, err)
	}
	err = unix.Connect(fd, socketAddress(folder))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		unix.Close(fd)
		return nil, ErrGone
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connecting to container %.12s: %w", c.ID, err)
	}
	conn, err := wire.New(fd)
	if err != nil {
		return nil, err
	}
	return &Client{conn}, nil
}

// socketAddress names the socket through the folder's descriptor: the path of a
// store may be longer than the 108 bytes of sun_path (unix(7)).
func socketAddress(folder int) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: filepath.Join("/proc/self/fd", fmt.Sprint(folder), socketName)}
}

// Close ends the conversation.
func (c *Client) Close() { c.conn.Close() }

// Attach connects to the container's streams. The client must not be used again.
func (c *Client) Attach(a Attach) (*Session, error) {
	return c.open(kindAttach, a, nil)
}

// Exec starts a further process. Direct descriptors become the process's own; the
// caller still closes its copies. The error is a *[Failure] where the process
// could not be started. The client must not be used again.
func (c *Client) Exec(r ExecRequest, direct [3]*os.File, preserve ...*os.File) (*Session, error) {
	var files []*os.File
	for i, f := range direct {
		if r.Direct[i] = f != nil; f != nil {
			files = append(files, f)
		}
	}
	r.Preserve = len(preserve)
	return c.open(kindExec, r, append(files, preserve...))
}

func (c *Client) open(k wire.Kind, request any, files []*os.File) (*Session, error) {
	if err := c.conn.Send(k, request, files...); err != nil {
		c.Close()
		return nil, gone(err)
	}
	return newSession(c.conn)
}

// Start has a container that waits for its next start by its policy started now, and
// attaches to it from the beginning of that life. One that runs already is attached
// to. The client must not be used again.
func (c *Client) Start(a Attach) (*Session, error) {
	return c.open(kindStart, a, nil)
}

// Signal sends a signal to the container's first process and returns when it was
// sent, or with the context's error where the shim does not answer: processes of the
// user's can stop it, those of a container on the host's PIDs among them. With last
// the container's policy does not start it again.
func (c *Client) Signal(ctx context.Context, signal int, last bool) error {
	return c.change(ctx, kindSignal, SignalRequest{signal, last})
}

// Execs lists the ids of the processes of exec that run in the container.
func (c *Client) Execs(ctx context.Context) ([]string, error) {
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	if err := c.conn.Send(kindList, nil); err != nil {
		return nil, errors.Join(ctx.Err(), gone(err))
	}
	k, body, _, err := c.conn.Recv()
	if err != nil {
		return nil, errors.Join(ctx.Err(), gone(err))
	}
	if k != kindListed {
		return nil, fmt.Errorf("listing the processes of exec: unexpected answer %d", k)
	}
	listed, err := wire.Decode[Listed](body)
	return listed.Execs, err
}

// Check runs the container's health check now and tells how it went.
func (c *Client) Check() (Checked, error) {
	if err := c.conn.Send(kindCheck, nil); err != nil {
		return Checked{}, gone(err)
	}
	k, body, _, err := c.conn.Recv()
	switch {
	case err != nil:
		return Checked{}, gone(err)
	case k == kindChecked:
		return wire.Decode[Checked](body)
	case k == kindFailure:
		failure, err := wire.Decode[Failure](body)
		if err != nil {
			return Checked{}, err
		}
		return Checked{}, &failure
	}
	return Checked{}, fmt.Errorf("checking a container's health: unexpected answer %d", k)
}

// Wait returns when the container has ended and everything that it left is cleaned
// up, or with the context's error. ErrGone says that the shim died without a word.
func (c *Client) Wait(ctx context.Context) (Exited, error) {
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	if err := c.conn.Send(kindWait, nil); err != nil {
		return Exited{}, errors.Join(ctx.Err(), gone(err))
	}
	k, body, _, err := c.conn.Recv()
	switch {
	case ctx.Err() != nil:
		return Exited{}, ctx.Err()
	case err != nil:
		return Exited{}, gone(err)
	case k != kindExited:
		return Exited{}, fmt.Errorf("waiting for a container: unexpected answer %d", k)
	}
	return wire.Decode[Exited](body)
}

// gone turns the end of a conversation into ErrGone.
func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return ErrGone
	}
	return err
}

// Session is a running process to which this one is connected. Recv is for one
// goroutine, the other methods for any.
type Session struct {
	PID    int // of the process, in our PID namespace
	conn   *wire.Conn
	window chan struct{} // holds a token for each packet of stdin under way
	ended  chan struct{} // closed after the last event
	once   sync.Once
}

func (s *Session) end() { s.once.Do(func() { close(s.ended) }) }

// newSession waits for the word that the process was executed.
func newSession(c *wire.Conn) (*Session, error) {
	k, body, _, err := c.Recv()
	if err == nil {
		switch k {
		case kindStarted:
			started, err := wire.Decode[Started](body)
			if err != nil {
				c.Close()
				return nil, err
			}
			return &Session{PID: started.PID, conn: c, window: make(chan struct{}, stdinWindow), ended: make(chan struct{})}, nil
		case kindFailure:
			failure, decodeErr := wire.Decode[Failure](body)
			if err = decodeErr; err == nil {
				err = &failure
			}
		case kindExited: // while it was being attached to
			err = ErrGone
		default:
			err = fmt.Errorf("starting a process: unexpected answer %d", k)
		}
	}
	c.Close()
	return nil, gone(err)
}

// Event is what happened in a session: exactly one field is set.
type Event struct {
	Stdout, Stderr []byte // valid until the next Recv
	Exited         *Exited
}

// Recv returns the next event, ErrGone when the shim has left without telling the end.
func (s *Session) Recv() (Event, error) {
	for {
		k, body, _, err := s.conn.Recv()
		if err != nil {
			s.end()
			return Event{}, gone(err)
		}
		switch k {
		case kindStdout:
			return Event{Stdout: body}, nil
		case kindStderr:
			return Event{Stderr: body}, nil
		case kindStdinTaken:
			<-s.window
		case kindExited:
			s.end()
			exited, err := wire.Decode[Exited](body)
			return Event{Exited: &exited}, err
		}
	}
}

// SendStdin gives bytes to the process's standard input. It waits while the
// process does not read, as long as another goroutine calls Recv.
func (s *Session) SendStdin(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), wire.MaxData)
		select {
		case s.window <- struct{}{}:
		case <-s.ended:
			return ErrGone
		}
		if err := s.conn.SendData(kindStdin, data[:n]); err != nil {
			return gone(err)
		}
		data = data[n:]
	}
	return nil
}

// CloseStdin says that no more input comes.
func (s *Session) CloseStdin() error { return gone(s.conn.Send(kindStdinEOF, nil)) }

// Resize tells the process's terminal the size of ours.
func (s *Session) Resize(size Size) error { return gone(s.conn.Send(kindResize, size)) }

// Signal sends a signal to the session's process.
func (s *Session) Signal(signal int) error {
	return gone(s.conn.Send(kindSignal, SignalRequest{Signal: signal}))
}

// Detach leaves the session for good: a process that Exec started goes on.
func (s *Session) Detach() {
	s.conn.Send(kindDetach, nil)
	s.Close()
}

// Close leaves the session. A container runs on; a process that Exec started
// without Detach is killed, and what it has started as well.
func (s *Session) Close() { s.conn.Close() }
