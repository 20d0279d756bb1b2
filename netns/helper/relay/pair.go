package relay

import (
	"sync/atomic"
	"unsafe"

	"github.com/skiff-containers/skiff/netns/helper/sock"
	"golang.org/x/sys/unix"
)

// Pair is two TCP sockets whose streams are joined: what one receives the other
// sends, an end of one stream is passed on while the other goes on, and so is a reset, once
// what was sent before it has arrived. It is made for being a part of its owner. From
// Join on all of it belongs to the loop's thread.
type Pair struct {
	loop   *Loop
	home   atomic.Pointer[Loop] // the same for who is not on its thread
	owner  Owner
	budget *Budget
	sides  [2]side
	ways   [2]way // 0: from sides[0] to sides[1]

	settling bool // the second socket is being connected
	broken   bool // it ends with a reset
	fading   bool // see fade
	faded    int
	closed   bool
	queued   bool // in loop.again
	heavy    bool // it carries much: part of its loop's burden
	moving   bool // on its way to loop
}

// side is one socket, watched edge by edge: what epoll told holds until EAGAIN.
type side struct {
	pair     *Pair
	fd       int
	token    Token
	readable bool
	last     bool // there is an end behind what can be read
	finished bool // and it is one in good order: all has come
	writable bool
	space    bool // whether it is writable is watched
	left     bool // see Leave
}

// Owner hears of a pair on the loop's thread.
type Owner interface {
	// Settled is called when the second socket of [Loop.Connect] is connected or cannot
	// be, before Ended.
	Settled()
	// Ended is called once, when both sockets are closed.
	Ended()
}

// sideEvents are all that concern a stream but for space in it, which is watched only
// where there was none.
const sideEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// Join joins two connected sockets. They are non-blocking, and the pair's from now on,
// also where it fails; then nothing is called. It may be called from any goroutine: what
// the pair does begins at once.
func (l *Loop) Join(p *Pair, first, second int, b *Budget, o Owner) error {
	return l.join(p, [2]int{first, second}, b, o)
}

// Connect is Join for a second socket that is still being connected.
func (l *Loop) Connect(p *Pair, first, second int, b *Budget, o Owner) error {
	p.settling = true
	return l.join(p, [2]int{first, second}, b, o)
}

// join holds back the events of the first socket until both are watched.
func (l *Loop) join(p *Pair, fds [2]int, b *Budget, o Owner) error {
	p.loop, p.budget, p.owner = l, b, o
	p.home.Store(l)
	for i, fd := range fds {
		connecting := i == 1 && p.settling
		p.sides[i] = side{pair: p, fd: fd, token: nowhere, writable: !connecting, space: connecting}
	}
	err := p.watch()
	if err != nil {
		p.closed = true
		sock.Abort(fds[0])
		sock.Abort(fds[1])
	}
	return err
}

// watch has the pair's loop watch both sockets.
func (p *Pair) watch() error {
	l := p.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	for i := range p.sides {
		s := &p.sides[i]
		s.token = l.take(s)
		if err := l.control(unix.EPOLL_CTL_ADD, s.fd, s.events(), s.token); err != nil {
			p.unwatch(l)
			return err
		}
	}
	return nil
}

// unwatch has the events of both sockets lead nowhere. The caller holds l.mu.
func (p *Pair) unwatch(l *Loop) {
	for i := range p.sides {
		l.drop(p.sides[i].token)
		p.sides[i].token = nowhere
	}
}

func (s *side) events() uint32 {
	if s.space {
		return sideEvents | unix.EPOLLOUT
	}
	return sideEvents
}

// epollControl is epoll_ctl(2), which never waits.
func epollControl(epoll, op, fd int, e *unix.EpollEvent) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(e)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Ready takes an event of one socket.
func (s *side) Ready(events uint32) {
	p := s.pair
	if events&unix.EPOLLPRI != 0 {
		s.urgent()
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.readable, s.last = true, true
		s.finished = events&(unix.EPOLLHUP|unix.EPOLLERR) == 0
	}
	if events&unix.EPOLLIN != 0 {
		s.readable = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.writable = true
	}
	if p.settling {
		if !p.sides[1].writable {
			return
		}
		p.settling = false
		p.owner.Settled()
	}
	p.pump()
}

// urgent has a way go on behind urgent data: it comes in line from now on.
func (s *side) urgent() {
	w := &s.pair.ways[s.index()]
	if !w.plain {
		w.plain = true
		sock.Set(s.fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	}
}

func (s *side) index() int {
	if s == &s.pair.sides[0] {
		return 0
	}
	return 1
}

// full notes that a socket takes no more, and has its space watched from now on; if
// there is some already, that is the first event.
func (s *side) full() {
	s.writable = false
	if s.space {
		return
	}
	s.space = true
	if s.token != nowhere {
		s.pair.loop.control(unix.EPOLL_CTL_MOD, s.fd, s.events(), s.token)
	}
}

// rounds is how many steps one pair may take before others have their turn.
const rounds = 8

func (p *Pair) pump() {
	if p.closed || p.settling || p.fading || p.moving {
		return
	}
	for range rounds {
		if p.moveOn() {
			return
		}
		moved := p.move(0)
		moved = p.move(1) || moved
		if p.ways[0].done && p.ways[1].done && !p.broken {
			p.close(false)
			return
		}
		if !moved {
			p.rest()
			return
		}
	}
	if !p.queued {
		p.queued = true
		p.loop.again = append(p.loop.again, p)
	}
}

// rest is called when nothing moves: it waits, or it is at its end.
func (p *Pair) rest() {
	for i := range p.sides {
		// Nothing more comes from who has left, and this was not said to be all.
		if p.sides[i].left && !p.ways[i].done && !p.waits(i) {
			p.ways[i].done, p.broken = true, true
		}
	}
	if !p.broken || p.waits(0) || p.waits(1) {
		return
	}
	if !p.unsent() {
		p.close(true)
		return
	}
	p.fading = true
	p.loop.fading = append(p.loop.fading, p)
}

// waits tells whether a way that does not move has something to move.
func (p *Pair) waits(i int) bool {
	w := &p.ways[i]
	return !w.done && (w.holds() || p.sides[i].readable)
}

// unsent tells whether a peer has not acknowledged all that was sent to it. A reset
// would overtake that.
func (p *Pair) unsent() bool {
	for i := range p.sides {
		if s := &p.sides[i]; !s.left && sock.Unsent(s.fd) {
			return true
		}
	}
	return false
}

// Closed tells whether both sockets are closed.
func (p *Pair) Closed() bool { return p.closed }

// Over tells whether one socket's connection has ended, though what came by it may not have
// been carried on yet. On the loop's thread only.
func (p *Pair) Over(i int) bool { return !p.closed && sock.Over(p.sides[i].fd) }

// Reset ends both connections with an RST.
func (p *Pair) Reset() { p.close(true) }

func (p *Pair) close(reset bool) {
	if p.closed {
		return
	}
	p.closed = true
	p.weigh(false)
	for i := range p.ways {
		p.discard(&p.ways[i])
	}
	p.loop.mu.Lock()
	p.unwatch(p.loop)
	p.loop.mu.Unlock()
	for i := range p.sides {
		if s := &p.sides[i]; reset || s.left {
			sock.Abort(s.fd)
		} else {
			sock.Close(s.fd)
		}
	}
	if p.settling {
		p.settling = false
		p.owner.Settled()
	}
	p.owner.Ended()
}
