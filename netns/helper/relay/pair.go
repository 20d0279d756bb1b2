package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// Pair is two TCP sockets whose streams are joined: what one receives the other
// sends, an end of one stream is passed on while the other goes on, and so is a reset.
// All of it belongs to the loop's thread.
type Pair struct {
	loop    *Loop
	sides   [2]side
	ways    [2]way // 0: from sides[0] to sides[1]
	ended   func()
	settled func() // nil once it was called

	broken bool // one side could not be written to: it ends with a reset
	ending bool // see End
	closed bool
	queued bool // in loop.again
}

// side is one socket, watched edge by edge: what epoll told holds until EAGAIN.
type side struct {
	fd       int
	token    Token
	readable bool
	writable bool
}

// way is one direction. Bytes that were received and not yet sent lie in pipe or in
// rest, never in both, and nothing more is received before they are gone.
type way struct {
	pipe *pipe
	held int // bytes in pipe
	rest []byte
	bulk bool // the last read filled the buffer: worth a pipe
	done bool
}

// sideEvents are all that concern a stream.
const sideEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// Options are what the owner of a pair wants to hear of it. Both functions are called
// on the loop's thread.
type Options struct {
	// Settled is called when the second socket is connected or cannot be, before Ended.
	Settled func()
	// Ended is called once, when both sockets are closed.
	Ended func()
}

// Join joins an established socket with one that is being connected (or is
// connected): both non-blocking, and the pair's from now on, also where it fails.
func (l *Loop) Join(established, connecting int, o Options) (*Pair, error) {
	p := &Pair{loop: l, ended: o.Ended, settled: o.Settled}
	p.sides[0].fd, p.sides[1].fd = established, connecting
	for i := range p.sides {
		token, err := l.Add(p.sides[i].fd, sideEvents, end{p, i})
		if err != nil {
			if i == 1 {
				l.Drop(p.sides[0].token)
			}
			abort(established)
			abort(connecting)
			return nil, err
		}
		p.sides[i].token = token
	}
	l.pairs[p] = struct{}{}
	return p, nil
}

// end is the handler of one side.
type end struct {
	pair *Pair
	side int
}

func (e end) Ready(events uint32) {
	p := e.pair
	s := &p.sides[e.side]
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.readable = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.writable = true
	}
	if e.side == 1 && p.settled != nil {
		if !s.writable {
			return
		}
		settled := p.settled
		p.settled = nil
		settled()
	}
	p.pump()
}

// rounds is how much one pair may move before others get their turn.
const rounds = 8

func (p *Pair) pump() {
	if p.closed || p.settled != nil {
		return
	}
	for range rounds {
		moved := p.move(0)
		moved = !p.closed && p.move(1) || moved
		switch {
		case p.closed:
			return
		case p.ways[0].done && p.ways[1].done:
			p.close(p.broken)
			return
		case !moved:
			if p.ending && !p.ways[1].holds() {
				p.Reset() // without an end of its own: killed
			}
			return
		}
	}
	if !p.queued {
		p.queued = true
		p.loop.again = append(p.loop.again, p)
	}
}

// move takes one way a step on; false where it has to wait or is done.
func (p *Pair) move(i int) bool {
	w, from, to := &p.ways[i], &p.sides[i], &p.sides[1-i]
	if w.done {
		return false
	}
	if !w.holds() {
		if !from.readable {
			w.free()
			return false
		}
		if !p.fill(i, w, from, to) {
			return false
		}
	}
	if !to.writable {
		return false
	}
	return p.flush(w, to)
}

// fill receives. Small amounts go through the loop's buffer straight to the other side.
func (p *Pair) fill(i int, w *way, from, to *side) bool {
	if w.bulk && w.pipe == nil {
		w.pipe = getPipe()
	}
	var n int
	var err error
	if w.pipe != nil {
		var moved int64
		moved, err = unix.Splice(from.fd, nil, w.pipe.write, nil, w.pipe.size, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		n = int(moved)
		w.bulk = n >= bufferSize/4
	} else {
		n, err = unix.Read(from.fd, p.loop.buffer)
		w.bulk = n == len(p.loop.buffer)
	}
	switch {
	case err == unix.EINTR:
		return true
	case err == unix.EAGAIN:
		from.readable = false
		w.free()
		return false
	case err != nil:
		p.Reset()
		return false
	case n == 0:
		w.free()
		w.done = true
		unix.Shutdown(to.fd, unix.SHUT_WR)
		return true
	case w.pipe != nil:
		w.held = n
	default:
		p.pass(w, to, p.loop.buffer[:n])
	}
	return true
}

// pass sends bytes of the loop's buffer; what does not go out is kept.
func (p *Pair) pass(w *way, to *side, data []byte) {
	for len(data) > 0 && to.writable {
		n, err := unix.Write(to.fd, data)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			to.writable = false
		case err != nil:
			p.breakOff(w, to)
			return
		default:
			data = data[n:]
		}
	}
	if len(data) > 0 {
		w.rest = append([]byte(nil), data...)
	}
}

// flush sends what is held. It reports false where it has to wait.
func (p *Pair) flush(w *way, to *side) bool {
	if len(w.rest) > 0 {
		rest := w.rest
		w.rest = nil
		p.pass(w, to, rest)
		return len(w.rest) == 0
	}
	for w.held > 0 {
		n, err := unix.Splice(w.pipe.read, nil, to.fd, nil, w.held, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			to.writable = false
			return false
		case err != nil || n == 0:
			p.breakOff(w, to)
			return true
		default:
			w.held -= int(n)
		}
	}
	return true
}

// breakOff ends a way whose receiver takes no more. What that one sent before may
// still be there to be read, such as the answer to a request that it did not want to the end.
func (p *Pair) breakOff(w *way, to *side) {
	w.rest = nil
	w.free()
	w.done, p.broken, to.readable = true, true, true
}

func (w *way) holds() bool { return w.held > 0 || len(w.rest) > 0 }

func (w *way) free() {
	if w.pipe != nil {
		putPipe(w.pipe, w.held == 0)
		w.pipe, w.held = nil, 0
	}
	w.bulk = false
}

// endLimit is how long the first socket's peer has for what End leaves it.
const endLimit = 10 * time.Second

// End lets the second socket's bytes that are here go out, takes nothing more from
// the first one's, and closes the pair: the second one's peer has ended.
func (p *Pair) End() {
	if p.closed {
		return
	}
	if p.settled != nil {
		p.Reset()
		return
	}
	p.ending = true
	p.ways[0].free()
	p.ways[0].rest, p.ways[0].done = nil, true
	p.sides[1].readable = true // an edge may be on its way
	p.pump()
	if p.closed {
		return
	}
	limit := p.loop.Now().Add(endLimit)
	p.loop.Tick(func(now time.Time) bool {
		if now.After(limit) {
			p.Reset()
		}
		return !p.closed
	})
}

// Reset ends both connections with an RST.
func (p *Pair) Reset() { p.close(true) }

func (p *Pair) close(reset bool) {
	if p.closed {
		return
	}
	p.closed = true
	delete(p.loop.pairs, p)
	for i := range p.ways {
		p.ways[i].free()
		p.ways[i].rest = nil
	}
	for i := range p.sides {
		p.loop.Drop(p.sides[i].token)
		if reset {
			abort(p.sides[i].fd)
		} else {
			unix.Close(p.sides[i].fd)
		}
	}
	if settled := p.settled; settled != nil {
		p.settled = nil
		settled()
	}
	if p.ended != nil {
		p.ended()
	}
}

// abort closes a socket with an RST.
func abort(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}
