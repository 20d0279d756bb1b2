package conmon

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// network is the shim's part in its container's networks: it has them attached by
// the network helper, holds N, the namespace in which they lie, by being in it with
// its main thread, and brings up a new helper when the old one is killed.
type network struct {
	shim      *shim
	start     client.Start
	namespace *os.File   // the container's
	sockets   []*os.File // on ports that only the first helper may have had a right to

	mu     sync.Mutex
	conn   *client.Conn
	ending bool
	gone   chan struct{} // closed when the container is detached for good
}

// How long a shim waits before it tries again to have its container attached, at first and at most.
const (
	reattachFirst = 20 * time.Millisecond
	reattachMost  = 2 * time.Second
)

// detachLimit bounds how long a helper may hold up the end of a container.
const detachLimit = 3 * time.Second

// newNetwork takes over the connection to the helper and the main program, with
// which another helper can be started whatever became of its path meanwhile.
func (s *shim) newNetwork(conn, program *os.File) (*network, error) {
	c, err := client.Adopt(conn)
	if err != nil {
		return nil, err
	}
	start := client.Start{Store: s.store, Program: program, Inside: true, Started: s.children.spare}
	return &network{shim: s, conn: c, start: start, gone: make(chan struct{})}, nil
}

// begin asks for the container's networks as soon as its namespace exists.
func (n *network) begin(pid int) (err error) {
	if n.namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
		return fmt.Errorf("opening the container's network namespace: %w", err)
	}
	n.ask() // await sees what goes wrong
	return nil
}

func (n *network) ask() error {
	return n.conn.Attach(n.shim.setup.Container, n.namespace, n.sockets...)
}

// await returns when the container is connected, and enters N. It runs on the main
// thread, whose namespace /proc/PID/ns/net of the shim shows.
func (n *network) await() error {
	space, err := n.attached()
	if err != nil {
		return networkFailure(err)
	}
	defer space.Close()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("holding the networks' namespace: %w", err)
	}
	return nil
}

// attached waits for the helper's answer. A helper that has just ended, as nobody had
// needed it, is replaced.
func (n *network) attached() (*os.File, error) {
	for try := 1; ; try++ {
		space, sockets, err := n.conn.Attached()
		if err == nil {
			n.keep(sockets)
			return space, nil
		}
		if !errors.Is(err, client.ErrHelperDied) || try > 3 {
			return nil, err
		}
		if err := n.reconnect(); err != nil {
			return nil, err
		}
	}
}

// reconnect asks another helper.
func (n *network) reconnect() error {
	conn, err := n.connect()
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conn.Close()
	n.conn = conn
	return n.ask()
}

// keep takes sockets over that the next helper is to be given.
func (n *network) keep(sockets []*os.File) {
	wire.CloseAll(n.sockets)
	n.sockets = sockets
}

// connect starts a helper where none runs. It is forked from a thread of the host's
// network, which any but the main one is: that one is locked to its goroutine.
func (n *network) connect() (conn *client.Conn, err error) {
	done := make(chan struct{})
	go func() {
		conn, err = n.start.Connect()
		close(done)
	}()
	<-done
	return conn, err
}

// watch keeps the container attached until it ends.
func (n *network) watch() {
	defer close(n.gone)
	for {
		n.conn.AwaitEnd()
		for wait := reattachFirst; ; wait = min(2*wait, reattachMost) {
			if n.isEnding() {
				return
			}
			if n.reattach() == nil {
				break
			}
			time.Sleep(wait)
		}
	}
}

// reattach has a new helper take over. N is the one that we hold, where the helper found it.
func (n *network) reattach() error {
	if err := n.reconnect(); err != nil {
		return err
	}
	space, sockets, err := n.conn.Attached()
	if err == nil {
		space.Close()
		n.keep(sockets)
	}
	return err
}

func (n *network) isEnding() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ending
}

// end has the container detached: when it returns, its ports are free and its names
// are gone. Sockets that only the first helper may have had a right to are kept for
// another start.
func (n *network) end(watched, again bool) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.ending = true
	conn := n.conn
	n.mu.Unlock()
	if err := conn.Detach(); err == nil && watched {
		select {
		case <-n.gone:
		case <-time.After(detachLimit):
		}
	} else if err == nil {
		conn.AwaitEnd()
	}
	conn.Close()
	if n.namespace != nil {
		n.namespace.Close()
		n.namespace = nil
	}
	if !again {
		n.close()
	}
}

// close gives back what end has kept.
func (n *network) close() {
	if n != nil {
		n.keep(nil)
	}
}

// renew reaches a helper for another start. It returns before the container's namespace exists.
func (n *network) renew() error {
	if n == nil {
		return nil
	}
	conn, err := n.connect()
	if err != nil {
		return err
	}
	n.conn, n.ending, n.gone = conn, false, make(chan struct{})
	return nil
}

// networkFailure is a start that failed for the network's sake: docker's code, and
// the helper's hint.
func networkFailure(err error) error {
	var failure *client.Failure
	if errors.As(err, &failure) {
		return &oci.Error{Code: 125, Text: failure.Text, Hint: failure.Hint}
	}
	return err
}
