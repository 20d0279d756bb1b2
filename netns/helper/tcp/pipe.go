package tcp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize gives a pipe 64 slots: a megabyte of the pages that a socket has, or a
	// quarter where they are small.
	pipeSize = 256 << 10
	// chunk is how much is moved through a pipe at a time.
	chunk = 256 << 10
	// maxPipes bounds them: the kernel lets a user have 16384 pages of pipes before it
	// makes all others tiny (pipe(7), pipe-user-pages-soft); this is half of it.
	maxPipes = 128
	// memberPipes is what one container may hold of them, by not reading.
	memberPipes = 32
	// idlePipes is what a worker keeps for next time.
	idlePipes = 4
)

// pipe is what splice(2) needs between two sockets.
type pipe struct{ r, w int }

// in fills an empty pipe from a socket. Where the pipe takes nothing it is 0.
func (p *pipe) in(source int) (int, error) {
	return splice(source, p.w, chunk)
}

// out empties a pipe that holds n octets into a socket.
func (p *pipe) out(sink, n int) (int, error) {
	return splice(p.r, sink, n)
}

func splice(from, to, n int) (int, error) {
	for {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int(moved), err
		}
	}
}

// pipes are a worker's.
type pipes struct {
	idle []*pipe
	open *atomic.Int32 // of all workers
}

// take gives a way a pipe, if there is one for it.
func (s *pipes) take(f *flow, d *way) bool {
	if d.pipe != nil {
		return true
	}
	if f.usage.pipes.Load() >= memberPipes {
		return false
	}
	if n := len(s.idle); n > 0 {
		d.pipe, s.idle = s.idle[n-1], s.idle[:n-1]
	} else if d.pipe = s.make(); d.pipe == nil {
		return false
	}
	f.usage.pipes.Add(1)
	return true
}

// give takes an empty pipe back.
func (s *pipes) give(f *flow, d *way) {
	f.usage.pipes.Add(-1)
	if len(s.idle) < idlePipes {
		s.idle = append(s.idle, d.pipe)
	} else {
		s.shut(d.pipe)
	}
	d.pipe = nil
}

// discard takes away a pipe with what is in it.
func (s *pipes) discard(f *flow, d *way) {
	if d.pipe == nil {
		return
	}
	f.usage.pipes.Add(-1)
	s.shut(d.pipe)
	d.pipe, d.held = nil, 0
}

func (s *pipes) close() {
	for _, p := range s.idle {
		s.shut(p)
	}
	s.idle = nil
}

// make makes a pipe, or nil where there are enough.
func (s *pipes) make() *pipe {
	if s.open.Add(1) > maxPipes {
		s.open.Add(-1)
		return nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		s.open.Add(-1)
		return nil
	}
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // smaller is slower, no worse
	return &pipe{r: fds[0], w: fds[1]}
}

func (s *pipes) shut(p *pipe) {
	s.open.Add(-1)
	unix.Close(p.r)
	unix.Close(p.w)
}
