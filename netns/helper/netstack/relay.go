package netstack

import (
	"errors"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// relay carries data both ways until both are at their end. Between the stack's
// memory and the host's socket there is no buffer: reading the one writes the other.
func (p *Path) relay(f *flow, queue *waiter.Queue) {
	raw, err := f.conn.SyscallConn()
	if err != nil {
		f.abort()
		return
	}
	abort := sync.OnceFunc(f.abort)
	var inward sync.WaitGroup
	inward.Go(func() {
		if f.inward(raw, queue) != nil {
			abort()
		}
	})
	if f.outward(raw, queue) != nil {
		abort()
	}
	inward.Wait()
	f.endpoint.Close()
	f.conn.Close()
}

// errStack is an end of the container's connection by a reset or a timeout.
var errStack = errors.New("connection reset")

// outward carries what the container sends. It returns nil at the container's end of data.
func (f *flow) outward(raw syscall.RawConn, queue *waiter.Queue) error {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	var w writer
	for {
		var stackErr tcpip.Error
		// Each call goes on until the host's socket is full or the stack has nothing.
		err := raw.Write(func(fd uintptr) bool {
			w = writer{fd: int(fd)}
			_, stackErr = f.endpoint.Read(&w, tcpip.ReadOptions{})
			return !w.full
		})
		switch {
		case err != nil:
			return err
		case w.err != nil:
			return w.err
		}
		switch stackErr.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-ready
		case *tcpip.ErrClosedForReceive:
			return f.conn.CloseWrite()
		default:
			return errStack
		}
	}
}

// writer writes to the host's socket as long as that takes it. It must not wait: the
// stack's end is locked meanwhile.
type writer struct {
	fd   int
	full bool
	err  error
}

var errFull = errors.New("full")

func (w *writer) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(w.fd, b[done:])
		switch {
		case err == nil:
			done += n
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			w.full = true
			return done, errFull
		default:
			w.err = err
			return done, err
		}
	}
	return done, nil
}

// inward carries what the world sends. It returns nil at the world's end of data.
func (f *flow) inward(raw syscall.RawConn, queue *waiter.Queue) error {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	var r reader
	for {
		var stackErr tcpip.Error
		err := raw.Read(func(fd uintptr) bool {
			r, stackErr = reader{fd: int(fd)}, nil
			for stackErr == nil && r.err == nil {
				if !r.look() { // only then is there news of it
					return r.end || r.err != nil
				}
				_, stackErr = f.endpoint.Write(&r, tcpip.WriteOptions{})
			}
			return true
		})
		switch {
		case err != nil:
			return err
		case r.err != nil:
			return r.err
		case r.end:
			f.endpoint.Shutdown(tcpip.ShutdownWrite)
			return nil
		}
		switch stackErr.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-ready
		default:
			return errStack
		}
	}
}

// maxRead is how much the stack is offered at a time.
const maxRead = 256 << 10

// reader gives the stack what the host's socket has: a tcpip.Payloader.
type reader struct {
	fd   int
	size int
	end  bool
	err  error
}

// look finds out how much there is. The stack takes as much as it was offered or less, but cannot
// do with less than it wants.
func (r *reader) look() bool {
	n, err := unix.IoctlGetInt(r.fd, unix.SIOCINQ)
	if err != nil {
		r.err = err
		return false
	}
	if n > 0 {
		r.size = min(n, maxRead)
		return true
	}
	var one [1]byte
	n, _, err = unix.Recvfrom(r.fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN:
	case err != nil:
		r.err = err
	case n == 0:
		r.end = true
	default:
		r.size = n
		return true
	}
	return false
}

func (r *reader) Len() int { return r.size }

func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(r.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = unix.EPIPE
		}
		if err != nil {
			r.err = err
			return 0, err
		}
		return n, nil
	}
}
