package relay

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pipe is a kernel buffer that splice(2) needs between two sockets.
type pipe struct {
	read, write int
	size        int
}

// Pipes are few, as the kernel counts their pages against all that the user has
// (fs.pipe-user-pages-soft, 64 MB; past it, each new pipe of the user's has two pages
// only). A connection has one while it moves bulk; the others' bytes are copied.
const (
	pipeSize  = 512 << 10
	maxPipes  = 64
	keepPipes = 4
)

// Budget bounds what the pairs of one container hold while their peers do not read. Its
// zero value is an empty one; it may be shared by loops.
type Budget struct {
	pipes atomic.Int32
	bytes atomic.Int64
}

const (
	budgetPipes = 24
	budgetBytes = 1 << 20
	// mostBytes is for all containers together.
	mostBytes = 4 << 20
)

var keptBytes atomic.Int64

// roomFor tells whether n bytes more may be kept in memory.
func (b *Budget) roomFor(n int) bool {
	return b.bytes.Load()+int64(n) <= budgetBytes && keptBytes.Load()+int64(n) <= mostBytes
}

func (b *Budget) keep(n int) {
	if n != 0 {
		b.bytes.Add(int64(n))
		keptBytes.Add(int64(n))
	}
}

// takePipe gives a way a pipe, if there is one for it.
func (p *Pair) takePipe(w *way) bool {
	if w.pipe != nil {
		return true
	}
	if p.budget.pipes.Add(1) <= budgetPipes {
		w.pipe = getPipe()
	}
	if w.pipe == nil {
		p.budget.pipes.Add(-1)
	}
	return w.pipe != nil
}

var pipes struct {
	sync.Mutex
	idle []*pipe
	made int
}

// Pipes is how many there are, idle ones included.
func Pipes() int {
	pipes.Lock()
	defer pipes.Unlock()
	return pipes.made
}

// getPipe is nil where there are enough of them.
func getPipe() *pipe {
	pipes.Lock()
	defer pipes.Unlock()
	if n := len(pipes.idle); n > 0 {
		p := pipes.idle[n-1]
		pipes.idle = pipes.idle[:n-1]
		return p
	}
	if pipes.made >= maxPipes {
		return nil
	}
	var ends [2]int
	if unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	size, err := unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil {
		if size, err = unix.FcntlInt(uintptr(ends[0]), unix.F_GETPIPE_SZ, 0); err != nil || size < bufferSize {
			unix.Close(ends[0])
			unix.Close(ends[1])
			return nil // a copy is faster
		}
	}
	pipes.made++
	return &pipe{ends[0], ends[1], size}
}

// putPipe takes a pipe back; one that is not empty is closed.
func putPipe(p *pipe, empty bool) {
	pipes.Lock()
	defer pipes.Unlock()
	if empty && len(pipes.idle) < keepPipes {
		pipes.idle = append(pipes.idle, p)
		return
	}
	pipes.made--
	unix.Close(p.read)
	unix.Close(p.write)
}
