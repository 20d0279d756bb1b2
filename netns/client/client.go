// Package client speaks with the network helper, and starts it where none runs. The
// shim links it, so it imports little.
package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// Stage is argv[0] of the network helper.
const Stage = "skiff-network"

// The files of the helper, in the store's folder "helper", besides its socket.
const (
	AliveName = "alive" // locked while it lives
	LogName   = "log"
)

// ListenerName is the helper's socket among the descriptors that it is handed.
const ListenerName = "listener"

// The third argument of the helper, where it has one: it was started by a shim, in a
// copy of whose mount namespace it is; or by root, outside of U.
const (
	Inside  = "inside"
	Outside = "outside"
)

// PathVariable names the way out that the helper shall take: "netstack" for the one
// that stands in where the kernel path cannot be had; empty chooses by probing.
const PathVariable = "SKIFF_NETWORK_PATH"

// Who is the helper's name in the store's live/.
const Who = "helper"

// Conn is a conversation with the helper.
type Conn struct{ conn *wire.Conn }

// Start says how a helper is started where none runs.
type Start struct {
	Store   *store.Store
	Program *os.File // the main program
	// Inside says that the caller is root of U already: a shim whose helper died.
	Inside bool
	// Started is told of a helper that has become the caller's child, which is so where
	// the caller is inside.
	Started func(pid int) error
}

// ErrNoHelper: no helper runs.
var ErrNoHelper = errors.New("no network helper runs")

// Dial connects to the helper of a store; ErrNoHelper where none runs. It wraps
// ErrOtherVersion.
func Dial(s *store.Store) (*Conn, error) {
	folder, err := os.Open(filepath.Join(s.Root, "helper"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoHelper
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the network helper: %w", err)
	}
	defer folder.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reaching the network helper: %w", err)
	}
	// Through /proc, as a socket's path has room for 108 bytes only.
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), SocketName)})
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
			return nil, absent(folder.Name())
		}
		return nil, fmt.Errorf("reaching the network helper: %w", err)
	}
	return adopt(fd)
}

func adopt(fd int) (*Conn, error) {
	conn, err := wire.New(fd)
	if err != nil {
		return nil, err
	}
	return &Conn{conn}, nil
}

// Adopt takes over a connection that another process made with [Dial].
func Adopt(file *os.File) (*Conn, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("taking over a conversation: %w", err)
	}
	file.Close()
	return adopt(fd)
}

// File is the connection, to pass it on.
func (c *Conn) File() *os.File { return c.conn.File() }

// Close ends the conversation; the helper detaches a container that it attached.
func (c *Conn) Close() { c.conn.Close() }

// Connect connects to the helper, starting it where none runs.
func (s *Start) Connect() (*Conn, error) {
	if conn, err := s.dialOrWait(); !errors.Is(err, ErrNoHelper) {
		return conn, err
	}
	lock, err := s.Store.Lock("helper")
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	for attempt := 1; ; attempt++ {
		conn, err := Dial(s.Store) // another may have started it meanwhile
		if !errors.Is(err, ErrNoHelper) || attempt > 3 {
			return conn, err
		}
		if err := s.start(); err != nil {
			return nil, err
		}
	}
}

// start starts a helper. Its socket listens before it exists, so nobody waits for it to
// be ready: what is asked meanwhile it answers then, with the words of its failure
// where it cannot serve.
func (s *Start) start() error {
	path := filepath.Join(s.Store.Root, "helper")
	if err := os.MkdirAll(path, 0o700); err != nil { // a store from before helpers
		return fmt.Errorf("starting the network helper: %w", err)
	}
	listener, err := listen(path)
	if err != nil {
		return fmt.Errorf("starting the network helper: %w", err)
	}
	defer listener.Close() // which is the helper's now
	cmd := &userns.Command{
		Program: s.Program,
		Args:    []string{Stage, s.Store.Root},
		Env:     []string{"PATH=" + os.Getenv("PATH"), PathVariable + "=" + os.Getenv(PathVariable)},
		Files:   []userns.File{{Name: ListenerName, File: listener}},
		Session: true,
	}
	if s.Inside {
		cmd.Unshare = unix.CLONE_NEWNS // away from the caller's, where a container's root is mounted
		cmd.Args = append(cmd.Args, Inside)
	} else if userns.Privileged() {
		cmd.Args = append(cmd.Args, Outside)
	}
	if err := s.enter(cmd); err != nil {
		return fmt.Errorf("starting the network helper: %w", err)
	}
	return nil
}

// listen makes the helper's socket, in place of those that killed helpers left. The
// caller holds the lock "helper".
func listen(path string) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	left, err := otherSockets(path)
	if err != nil {
		return nil, err
	}
	for _, socket := range append(left, filepath.Join(path, SocketName)) {
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), SocketName)})
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), ListenerName), nil
}

// backlog is how many may wait for a helper that is just coming up; the kernel cuts it
// to net.core.somaxconn.
const backlog = 4096

// enter starts the process in U and lets it go: it is init's child before long.
//
// Root's helper stays in root's own user namespace, as only there it may listen on
// ports below 1024 of the host; it puts a child into U for the sake of N.
func (s *Start) enter(cmd *userns.Command) error {
	if cmd.Args[len(cmd.Args)-1] == Outside {
		_, err := cmd.Start()
		return err
	}
	if s.Inside {
		process, err := cmd.Start()
		if err != nil {
			return err
		}
		if err := s.Started(process.PID); err != nil {
			return err
		}
		return s.Store.Register(process.PID, Who)
	}
	_, _, err := s.Store.Enter(cmd, 0, Who)
	return err
}

// Attach connects a container whose network namespace exists. Attached says how it
// went; other things may be done before that is called. Sockets are those that an
// earlier Attached has given.
func (c *Conn) Attach(container string, namespace *os.File, sockets ...*os.File) error {
	return c.conn.Send(KindAttach, Attach{container}, append([]*os.File{namespace}, sockets...)...)
}

// Attached waits for the answer to Attach. The files are the caller's: N, and the
// sockets on ports that another helper may have no right to.
func (c *Conn) Attached() (space *os.File, sockets []*os.File, err error) {
	_, files, err := c.answer(KindAttached)
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("talking to the network helper: %w", unix.EPROTO)
	}
	return files[0], files[1:], nil
}

// ErrHelperDied: the helper ended before it answered. Another one may be asked.
var ErrHelperDied = errors.New("the network helper ended")

// answer waits for a message of one kind. The error is a *[Failure] where the helper sent that.
func (c *Conn) answer(want wire.Kind) (body []byte, files []*os.File, err error) {
	k, body, files, err := c.conn.Recv()
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE):
		return nil, nil, ErrHelperDied
	case err != nil:
		return nil, nil, fmt.Errorf("talking to the network helper: %w", err)
	case k == want:
		return body, files, nil
	}
	wire.CloseAll(files)
	if k != KindFailure {
		return nil, nil, fmt.Errorf("talking to the network helper: unexpected message %d", k)
	}
	failure, err := wire.Decode[Failure](body)
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, &failure
}

// Detach tells the helper that the container has ended. [Conn.AwaitEnd] returns when
// nothing answers for the container any longer.
func (c *Conn) Detach() error { return c.conn.Send(KindDetach, nil) }

// AwaitEnd returns when the helper has detached the container or has ended. Nothing
// else may receive meanwhile.
func (c *Conn) AwaitEnd() {
	for {
		k, _, files, err := c.conn.Recv()
		wire.CloseAll(files)
		if err != nil || k == KindDone {
			return
		}
	}
}

// Reload makes the helper read a container's network.json again.
func (c *Conn) Reload(container string) error { return c.do(KindReload, Reload{container}) }

// Forget makes the helper take a removed network's interfaces away.
func (c *Conn) Forget(network string) error { return c.do(KindForget, Forget{network}) }

// Status asks what the helper knows.
func (c *Conn) Status() (*Status, error) {
	if err := c.conn.Send(KindStatus, nil); err != nil {
		return nil, fmt.Errorf("talking to the network helper: %w", err)
	}
	body, files, err := c.answer(KindReport)
	wire.CloseAll(files)
	if err != nil {
		return nil, err
	}
	status, err := wire.Decode[Status](body)
	return &status, err
}

func (c *Conn) do(k wire.Kind, body any) error {
	if err := c.conn.Send(k, body); err != nil {
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			return ErrHelperDied
		}
		return fmt.Errorf("talking to the network helper: %w", err)
	}
	_, files, err := c.answer(KindDone)
	wire.CloseAll(files)
	return err
}
