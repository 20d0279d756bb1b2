package tcp

import "golang.org/x/sys/unix"

// way is one direction of a flow.
type way struct {
	pipe  *pipe // holds what the other end did not take; else nil
	held  int   // octets in pipe
	bulk  bool  // there is much to move: worth a pipe
	plain bool  // urgent data, at which splice(2) would stop for ever
	waits bool  // for space at the other end
	done  bool  // the end was passed on
}

const (
	// copySize is how much is moved without a pipe at a time; that there is as much
	// is the sign that more is to come.
	copySize = 64 << 10
	// turn is how many steps a way may take before others have theirs.
	turn = 16
)

// both: neither end alone.
const both = -1

// move moves what has come at one end or at both, and what had to wait for space
// there. It ends the flow when nothing can come any more.
func (w *worker) move(f *flow, end int) {
	if f.fd[container] < 0 || f.fading {
		return
	}
	more := false
	a, b := &f.way[container], &f.way[world]
	for from := range f.way {
		if end != from && end != both && !f.way[from].waits {
			continue
		}
		goesOn := w.carry(f, from)
		more = more || goesOn
		if f.left && from == container && !goesOn && !a.done && !a.waits {
			f.broken.Store(true) // nothing more comes, and this was not said to be all
		}
	}
	switch {
	case more:
		w.busy = append(w.busy, f)
	case f.broken.Load() && !a.waits && !b.waits && f.unsent():
		f.fading = true
		w.fading = append(w.fading, fading{flow: f})
	case f.broken.Load() && !a.waits && !b.waits:
		w.finish(f, true)
	case a.done && b.done:
		w.finish(f, false)
	}
}

// unsent tells whether a peer has not acknowledged all that was sent to it.
func (f *flow) unsent() bool {
	for end, fd := range f.fd {
		if f.left && end == container {
			continue
		}
		if n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ); err == nil && n > 0 {
			return true
		}
	}
	return false
}

func (w *worker) finish(f *flow, broken bool) {
	w.end(f, broken)
	f.fd = [2]int{-1, -1}
}

// carry moves data on the way from one end, until there is none or the other end
// takes none. True: there is more, and others have waited long enough.
func (w *worker) carry(f *flow, from int) bool {
	d, source, sink := &f.way[from], f.fd[from], f.fd[1-from]
	d.waits = false
	if f.left && from == world {
		return w.throwAway(f)
	}
	for range turn {
		if d.done {
			return false
		}
		var err error
		var n int
		switch {
		case d.held > 0:
			n, err = d.pipe.out(sink, d.held)
			if d.held -= max(n, 0); d.held == 0 {
				w.pipes.give(f, d)
			}
			if err == nil {
				continue
			}
			return w.sinkEnded(f, from, err)
		case d.bulk && !d.plain && w.pipes.take(f, d):
			n, err = d.pipe.in(source)
			if d.held = max(n, 0); d.held == 0 {
				w.pipes.give(f, d)
			}
			if n > 0 {
				continue
			}
		default:
			var sunk error
			n, err, sunk = w.copy(d, source, sink)
			if sunk != nil {
				return w.sinkEnded(f, from, sunk)
			}
		}
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil:
			f.broken.Store(true)
			d.done = true
			return false
		case n == 0:
			d.done = true
			unix.Shutdown(sink, unix.SHUT_WR)
			return false
		}
	}
	return true
}

// throwAway reads what the world sends to a container that has left: a socket that is
// closed with something unread resets its connection, and what is on its way out is lost.
func (w *worker) throwAway(f *flow) bool {
	d := &f.way[world]
	for range turn {
		if d.done {
			return false
		}
		n, _, err := unix.Recvfrom(f.fd[world], w.buf, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
		case err != nil:
			f.broken.Store(true)
			d.done = true
		case n == 0:
			d.done = true
		}
	}
	return true
}

// copy moves a piece through memory. What the sink did not take stays in the source, so
// a flow that is stuck costs nothing.
func (w *worker) copy(d *way, source, sink int) (n int, err, sunk error) {
	n, _, err = unix.Recvfrom(source, w.buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil || n == 0 {
		return n, err, nil
	}
	d.bulk = n == len(w.buf)
	sent, sunk := unix.SendmsgN(sink, w.buf[:n], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if sunk != nil {
		return 0, nil, sunk
	}
	for left := sent; left > 0; left -= n { // what was seen is still there
		// MSG_TRUNC: tcp(7), octets are discarded, not copied.
		if n, _, err = unix.Recvfrom(source, w.buf[:left], unix.MSG_TRUNC|unix.MSG_DONTWAIT); err != nil || n == 0 {
			return 0, unix.ECONNRESET, nil
		}
	}
	return sent, nil, nil
}

// sinkEnded deals with what kept the sink from taking data: it has no space, or it is
// broken; then what it has said itself is still passed on.
func (w *worker) sinkEnded(f *flow, from int, err error) bool {
	switch err {
	case unix.EAGAIN:
		f.way[from].waits = true
		w.awaitSpace(f, 1-from)
		return false
	case unix.EINTR:
		return true
	}
	w.pipes.discard(f, &f.way[from])
	f.way[from].done = true
	f.broken.Store(true)
	return true // the other way once more
}

// urgent has a way go on behind urgent data: it comes in line from now on.
func (f *flow) urgent(fd int) {
	for end := range f.fd {
		if f.fd[end] == fd && !f.way[end].plain {
			f.way[end].plain = true
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
		}
	}
}
