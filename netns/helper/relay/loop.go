// Package relay moves bytes between pairs of TCP sockets: a few threads wait for all
// of them by epoll(7), so that a connection costs neither a goroutine nor a buffer
// while it rests, and splice(2) carries what comes in bulk.
package relay

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"golang.org/x/sys/unix"
)

// Loop is one thread that serves descriptors. Where it is in a network namespace the
// sockets which its handlers make belong there without any hand-over.
type Loop struct {
	space  *space.Space // nil: the thread is any
	crew   []*Loop      // see Spread
	burden atomic.Int32 // how many pairs that carry much it has
	epoll  int
	wake   int // an eventfd

	mu     sync.Mutex
	calls  []func()
	closed bool
	slots  []slot
	free   []int32

	// What follows is the thread's own.
	again   []*Pair // have more to move than one turn allows
	turn    []*Pair
	fading  []*Pair
	buffer  []byte
	tickers []func(now time.Time) bool
	now     time.Time
	ended   chan struct{}
}

// Handler is told what a descriptor is ready for (EPOLLIN and so on).
type Handler interface{ Ready(events uint32) }

// slot is what an event leads to. The generation tells an event for a descriptor
// that was dropped meanwhile from one for its successor.
type slot struct {
	handler    Handler
	generation int32
}

// Token names a descriptor that a loop serves.
type Token struct{ index, generation int32 }

// nowhere is the token of what is not served.
var nowhere = Token{index: -1}

const (
	bufferSize = 64 << 10
	eventCount = 256
	tickPeriod = time.Second
)

// ErrClosed: the loop has ended.
var ErrClosed = errors.New("the relay has ended")

// Start makes a loop in a network namespace, or in the process's own (nil). Where it
// has heirs, pairs that turn out to carry much move to these, so that it always has time for its
// other descriptors.
func Start(n *space.Space, heirs ...*Loop) (*Loop, error) {
	l := &Loop{crew: heirs, epoll: -1, wake: -1, buffer: make([]byte, bufferSize), ended: make(chan struct{}), now: time.Now()}
	if len(heirs) > 0 {
		l.burden.Store(overburdened)
	}
	var err error
	if n != nil {
		// A thread of its own: Do never returns before Close.
		if l.space, err = space.Open(n.File()); err != nil {
			return nil, err
		}
	}
	l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err == nil {
		_, err = l.Add(l.wake, unix.EPOLLIN, alarm{l})
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("starting a relay: %w", err)
	}
	if l.space != nil {
		go l.space.Do(func() error { l.run(); return nil })
	} else {
		go func() {
			runtime.LockOSThread()
			l.run()
		}()
	}
	return l, nil
}

func (l *Loop) release() {
	for _, fd := range []int{l.wake, l.epoll} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if l.space != nil {
		l.space.Close()
	}
}

// Close resets all pairs and ends the thread. Other descriptors stay the callers'.
func (l *Loop) Close() {
	l.post(func() {
		l.mu.Lock()
		l.closed = true // nobody joins any more
		var pairs []*Pair
		for _, s := range l.slots {
			if end, ok := s.handler.(*side); ok && end == &end.pair.sides[0] {
				pairs = append(pairs, end.pair)
			}
		}
		l.mu.Unlock()
		for _, p := range pairs {
			p.Reset()
		}
	})
	<-l.ended
}

// Ended is closed when the thread has ended.
func (l *Loop) Ended() <-chan struct{} { return l.ended }

// Call runs f on the loop's thread, between events, and returns when it has run. It
// must not be called from there.
func (l *Loop) Call(f func()) error {
	done := make(chan struct{})
	if !l.post(func() { f(); close(done) }) {
		return ErrClosed
	}
	select {
	case <-done:
		return nil
	case <-l.ended:
		return ErrClosed
	}
}

// Later runs f when the events of this turn are handled; false after the loop's end.
func (l *Loop) Later(f func()) bool { return l.post(f) }

// post queues f for the loop's thread.
func (l *Loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.calls = append(l.calls, f)
	unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return true
}

// alarm runs what post queued.
type alarm struct{ loop *Loop }

func (a alarm) Ready(uint32) {
	var count [8]byte
	unix.Read(a.loop.wake, count[:])
	a.loop.mu.Lock()
	calls := a.loop.calls
	a.loop.calls = nil
	a.loop.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

// Add serves a descriptor, which stays the caller's. It may be called from any
// goroutine, as Drop and Remove may; but what a handler does with its descriptor on the loop's
// thread goes on until they return, and a little longer.
func (l *Loop) Add(fd int, events uint32, h Handler) (Token, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.take(h)
	if err := l.control(unix.EPOLL_CTL_ADD, fd, events, t); err != nil {
		l.drop(t)
		return Token{}, err
	}
	return t, nil
}

// Modify has a descriptor watched for other events; what it is ready for already is one.
func (l *Loop) Modify(fd int, events uint32, t Token) error {
	return l.control(unix.EPOLL_CTL_MOD, fd, events, t)
}

func (l *Loop) control(op, fd int, events uint32, t Token) error {
	event := unix.EpollEvent{Events: events, Fd: t.index, Pad: t.generation}
	if err := epollControl(l.epoll, op, fd, &event); err != nil {
		return fmt.Errorf("watching a socket: %w", err)
	}
	return nil
}

func (l *Loop) take(h Handler) Token {
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		l.slots[i].handler = h
		return Token{i, l.slots[i].generation}
	}
	l.slots = append(l.slots, slot{handler: h})
	return Token{index: int32(len(l.slots) - 1)}
}

// Drop forgets a descriptor, before the caller closes it: closing takes it out of epoll.
func (l *Loop) Drop(t Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(t)
}

func (l *Loop) drop(t Token) {
	if t == nowhere {
		return
	}
	if s := &l.slots[t.index]; s.generation == t.generation && s.handler != nil {
		s.handler = nil
		s.generation++
		l.free = append(l.free, t.index)
	}
}

// Remove is Drop for a descriptor that stays open, here or in another process.
func (l *Loop) Remove(fd int, t Token) {
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	l.Drop(t)
}

// Tick calls f about once a second until it returns false. On the loop's thread only, as
// what follows.
func (l *Loop) Tick(f func(now time.Time) bool) { l.tickers = append(l.tickers, f) }

// Now is the time at which the events being handled were received.
func (l *Loop) Now() time.Time { return l.now }

func (l *Loop) run() {
	defer close(l.ended)
	defer l.release()
	defer alarm{l}.Ready(0) // pairs may be on their way here
	events := make([]unix.EpollEvent, eventCount)
	ticked := time.Now()
	for !l.over() {
		n, err := unix.EpollWait(l.epoll, events, l.patience())
		if err != nil && err != unix.EINTR {
			return
		}
		l.now = time.Now()
		for i := range max(n, 0) {
			if h := l.handler(&events[i]); h != nil {
				h.Ready(events[i].Events)
			}
		}
		l.turn, l.again = l.again, l.turn[:0]
		for i, p := range l.turn {
			l.turn[i] = nil
			if p.home.Load() == l {
				p.queued = false
				p.pump()
			}
		}
		if len(l.fading) > 0 {
			l.fade()
		}
		if len(l.tickers) > 0 && l.now.Sub(ticked) >= tickPeriod {
			ticked = l.now
			l.tick()
		}
	}
}

// handler is whom an event is for; nil where that is gone.
func (l *Loop) handler(e *unix.EpollEvent) Handler {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := &l.slots[e.Fd]; s.generation == e.Pad {
		return s.handler
	}
	return nil
}

func (l *Loop) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// patience is how long epoll may wait, in milliseconds.
func (l *Loop) patience() int {
	switch {
	case len(l.again) > 0:
		return 0
	case len(l.fading) > 0:
		return fadeStep
	case len(l.tickers) > 0:
		return int(tickPeriod / time.Millisecond)
	}
	return -1
}

func (l *Loop) tick() {
	tickers := l.tickers
	l.tickers = nil // f may call Tick
	for _, f := range tickers {
		if f(l.now) {
			l.tickers = append(l.tickers, f)
		}
	}
}
