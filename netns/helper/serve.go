package helper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// refuseLimit is how long a helper that cannot serve waits to tell so.
const refuseLimit = 200 * time.Millisecond

// refuse gives those who ask the words of what went wrong.
func (h *helper) refuse(err error) {
	h.logf("%v", err)
	os.Remove(filepath.Join(h.store.Root, "helper", client.SocketName)) // nobody else shall come
	fd := int(h.listener.Fd())
	for end := time.Now().Add(refuseLimit); ; {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, pollErr := unix.Poll(poll, int(max(time.Until(end), 0).Milliseconds()))
		if errors.Is(pollErr, unix.EINTR) {
			continue
		}
		if n < 1 {
			return
		}
		accepted, _, acceptErr := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if acceptErr != nil {
			continue
		}
		if c, connErr := wire.New(accepted); connErr == nil {
			c.Send(client.KindFailure, failure(fmt.Errorf("starting the network helper: %w", err)))
			c.SetReadDeadline(end.Add(refuseLimit))
			c.Recv() // what was asked; to close before it is read would reset the answer away
			c.Close()
		}
	}
}

// serve converses until nobody has needed us for a while.
func (h *helper) serve() {
	h.busy.since = time.Now()
	go h.accept()
	for {
		time.Sleep(h.lingering())
		if h.retire() {
			return
		}
	}
}

func (h *helper) accept() {
	wire.Accept(h.listener, func(c *wire.Conn) {
		if !h.busy.enter() {
			c.Close() // it reads the end, and asks another helper
			return
		}
		number := h.conversations.Add(1)
		go func() {
			defer h.busy.leave()
			defer c.Close()
			h.converse(c, number)
		}()
	})
}

// linger is how long the helper stays after the last container: `run` after `run`
// finds it, and all that it has made, still there.
const linger = 2 * time.Second

// busy counts conversations, and knows since when there is none.
type busy struct {
	mu    sync.Mutex
	count int
	since time.Time // when count became 0, or the helper began
	over  bool
}

// enter counts a conversation; false where the helper is at its end.
func (b *busy) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.count++
	}
	return !b.over
}

// retire lets no further conversation in, where there has been none for long enough.
func (b *busy) retire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = b.count == 0 && time.Since(b.since) >= linger
	return b.over
}

func (b *busy) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count--; b.count == 0 {
		b.since = time.Now()
	}
}

// idle is how long there has been no conversation; negative while there is one.
func (b *busy) idle() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count > 0 {
		return -1
	}
	return time.Since(b.since)
}

// lingering is how long to wait before it is worth while to look again.
func (h *helper) lingering() time.Duration {
	idle := h.busy.idle()
	if idle < 0 {
		return linger
	}
	return max(linger-idle, time.Millisecond)
}

// retire ends the service where nobody has needed it for long enough and nobody is
// just starting a container: whoever connects later finds no socket.
func (h *helper) retire() bool {
	if idle := h.busy.idle(); idle < linger {
		return false
	}
	if h.orphaned() {
		return h.busy.retire() // what lies at our paths is not ours
	}
	lock, err := h.store.TryLock("helper")
	if err != nil || lock == nil {
		return false
	}
	if !h.busy.retire() {
		lock.Unlock()
		return false
	}
	os.Remove(h.folder.Name() + "/" + client.SocketName)
	h.listener.Close() // whoever waits to be accepted reads the end, and starts another
	h.close()
	h.leave()
	return true // the lock goes with the process, and alive with it
}

// orphaned tells whether the store was deleted, moved or unmounted, so that its path leads
// to us no more.
func (h *helper) orphaned() bool {
	ours, err := h.folder.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(h.folder.Name())
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	}
	return !os.SameFile(ours, there)
}

// converse carries out what one client asks, until it leaves. The number grows with the order
// in which clients came.
func (h *helper) converse(c *wire.Conn, number uint64) {
	var mine *attachment
	defer func() { h.detach(mine) }()
	for {
		k, body, files, err := c.Recv()
		if err != nil {
			wire.CloseAll(files)
			return
		}
		var answer any
		switch k {
		case client.KindAttach:
			if mine != nil {
				h.detach(mine)
			}
			mine, err = h.serveAttach(c, number, body, files)
			if err == nil {
				continue
			}
		case client.KindDetach:
			h.detach(mine)
			mine = nil
		case client.KindReload:
			err = h.serveReload(body)
		case client.KindForget:
			var asked client.Forget
			if asked, err = wire.Decode[client.Forget](body); err == nil {
				h.serveForget(asked.Network)
			}
		case client.KindStatus:
			k, answer = client.KindReport, h.status()
		default:
			err = unix.EPROTO
		}
		wire.CloseAll(files)
		switch {
		case err != nil:
			err = c.Send(client.KindFailure, failure(err))
		case k == client.KindReport:
			err = c.Send(k, answer)
		default:
			err = c.Send(client.KindDone, nil)
		}
		if err != nil {
			return
		}
	}
}
