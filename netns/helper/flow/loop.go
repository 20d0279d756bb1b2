package flow

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// loop waits for all sockets of a table: one goroutine and one set of buffers,
// however many flows there are. Its epoll is itself waited for by the runtime's, so no
// thread is blocked.
type loop struct {
	table *Table
	file  *os.File
	raw   syscall.RawConn
	batch *batch
}

func startLoop(t *Table) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for os.NewFile to have it waited for
		unix.Close(fd)
		return nil, err
	}
	l := &loop{table: t, file: os.NewFile(uintptr(fd), "epoll"), batch: newBatch()}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		l.file.Close()
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *loop) add(fd int, number uint64) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number), Pad: int32(number >> 32)}
	var addErr error
	if err := l.raw.Control(func(epoll uintptr) {
		addErr = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, fd, &event)
	}); err != nil {
		return err
	}
	return addErr
}

func (l *loop) close() { l.file.Close() }

func (l *loop) run() {
	var events [64]unix.EpollEvent
	for {
		n := 0
		err := l.raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:n] {
			number := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32
			if f := l.table.get(number); f != nil {
				l.serve(f, e.Events)
			}
		}
	}
}

// serve reads one batch, and leaves the rest for the next turn: no flow holds up the others.
func (l *loop) serve(f *Flow, events uint32) {
	if !f.owned() {
		l.table.drop(f)
		return
	}
	if events&unix.EPOLLERR != 0 {
		f.life.RLock()
		var failures []rawFailure
		if f.fd >= 0 {
			failures = drain(f.fd)
		}
		f.life.RUnlock()
		f.tell(failures)
	}
	if events&unix.EPOLLIN == 0 {
		return
	}
	f.life.RLock()
	n := 0
	if f.fd >= 0 {
		n = l.batch.receive(f.fd)
	}
	f.life.RUnlock()
	heard := false
	for i := range n {
		d, ok := l.batch.datagram(i)
		if !ok {
			continue
		}
		addr, ok := f.admit(d.From.Addr())
		if !ok {
			continue
		}
		heard = true
		d.From = netip.AddrPortFrom(addr, d.From.Port())
		l.table.cfg.Protocol.Deliver(f, d)
	}
	if heard {
		f.replied.Store(true)
		f.touch()
	}
}
