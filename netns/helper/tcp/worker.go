package tcp

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// worker is a thread that moves the data of its flows. Events are edges, so each is
// answered by moving all that can be moved.
type worker struct {
	path   *Path
	epoll  int
	wakeup int // an eventfd: to stop, or to look at orders
	pipes  pipes
	buf    []byte
	busy   []*flow // have more to move than one turn allows
	fading []fading

	stopped atomic.Bool

	mu     sync.Mutex
	flows  map[int32]*flow // by both descriptors
	orders []order
}

// order is what is to be done with some of the established flows.
type order struct {
	do    func(*flow)
	which func(*flow) bool
	done  chan struct{}
}

func newWorker(p *Path) (*worker, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll descriptor: %w", err)
	}
	wakeup, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("making an eventfd: %w", err)
	}
	w := &worker{path: p, epoll: epoll, wakeup: wakeup, pipes: pipes{open: &p.pipes}, buf: make([]byte, copySize), flows: map[int32]*flow{}}
	if err := w.watch(wakeup, unix.EPOLLIN|unix.EPOLLET); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *worker) watch(fd int, events uint32) error {
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("watching a descriptor: %w", err)
	}
	return nil
}

// run moves data until stop.
func (w *worker) run() {
	defer w.cancelOrders()
	events := make([]unix.EpollEvent, 128)
	for !w.stopped.Load() {
		timeout := -1
		switch {
		case len(w.busy) > 0:
			timeout = 0
		case len(w.fading) > 0:
			timeout = fadeStep
		}
		n, err := unix.EpollWait(w.epoll, events, timeout)
		if err != nil && err != unix.EINTR {
			return // the descriptor is sound as long as this runs
		}
		turn := w.busy
		w.busy = nil
		for _, f := range turn {
			w.move(f, both)
		}
		for i := range max(n, 0) {
			w.event(&events[i])
		}
		w.fade()
	}
}

func (w *worker) event(e *unix.EpollEvent) {
	if int(e.Fd) == w.wakeup {
		w.carryOut()
		return
	}
	if family := w.listener(int(e.Fd)); family >= 0 {
		w.path.arrived(family)
		return
	}
	w.mu.Lock()
	f := w.flows[e.Fd]
	w.mu.Unlock()
	if f == nil {
		return // ended by an event of the same batch
	}
	switch f.state.Load() {
	case dialling:
		w.path.progress(f)
	case established:
		if e.Events&unix.EPOLLPRI != 0 {
			f.urgent(int(e.Fd))
		}
		if e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			w.move(f, both)
		} else if int(e.Fd) == f.fd[container] {
			w.move(f, container)
		} else {
			w.move(f, world)
		}
	}
}

func (w *worker) listener(fd int) int {
	for family, l := range w.path.listeners {
		if l == fd {
			return family
		}
	}
	return -1
}

// await has the worker see how the dial of a flow ends.
func (w *worker) await(f *flow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	fd := f.fd[world]
	if err := w.watch(fd, arrivals|unix.EPOLLOUT); err != nil {
		return err
	}
	w.flows[int32(fd)] = f
	return nil
}

// arm has the worker look once for connections at a listener, those included that are
// there already. While every handshake is over when its SYN was written, it is not woken for them.
func (w *worker) arm(listener int) {
	unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, listener, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(listener)})
}

// arrivals are the events that a flow begins with: to be writable is one only after
// it was not.
const arrivals = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// establish makes a flow with both sockets the worker's. It comes to be watched
// without the lock, as the first event is here before this returns.
func (w *worker) establish(f *flow) error {
	w.mu.Lock()
	op := unix.EPOLL_CTL_ADD
	if w.flows[int32(f.fd[world])] == f {
		op = unix.EPOLL_CTL_MOD // was watched while it dialled; an event of before shows again
	}
	for _, fd := range f.fd {
		w.flows[int32(fd)] = f
	}
	f.state.Store(established)
	w.mu.Unlock()
	e := unix.EpollEvent{Events: arrivals, Fd: int32(f.fd[world])}
	if err := unix.EpollCtl(w.epoll, op, f.fd[world], &e); err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	if err := w.watch(f.fd[container], arrivals); err != nil && !errors.Is(err, unix.EEXIST) { // see awaitSpace
		return err
	}
	return nil
}

// awaitSpace has the worker see when one end takes data again.
func (w *worker) awaitSpace(f *flow, end int) {
	if f.watched[end] {
		return
	}
	f.watched[end] = true
	e := unix.EpollEvent{Events: arrivals | unix.EPOLLOUT, Fd: int32(f.fd[end])}
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, f.fd[end], &e)
	if err == unix.ENOENT { // the world was quicker than establish
		unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, f.fd[end], &e)
	}
}

// fading is a flow that ends with a reset once what was sent before it has arrived.
type fading struct {
	flow *flow
	turn int
}

const (
	fadeStep = 5 // milliseconds
	fadeMost = 400
)

// fade ends the broken flows whose last data has arrived, or will not.
func (w *worker) fade() {
	left := w.fading[:0]
	for _, f := range w.fading {
		if f.flow.fd[container] < 0 { // dropped
			continue
		}
		if f.turn++; f.turn > fadeMost || !f.flow.unsent() {
			w.finish(f.flow, true)
		} else {
			left = append(left, f)
		}
	}
	clear(w.fading[len(left):])
	w.fading = left
}

// remove has the worker forget a descriptor that is about to be closed.
func (w *worker) remove(fd int) {
	w.mu.Lock()
	delete(w.flows, int32(fd))
	w.mu.Unlock()
}

// end closes a flow: with a reset, or in peace.
func (w *worker) end(f *flow, broken bool) {
	w.mu.Lock()
	for _, fd := range f.fd {
		delete(w.flows, int32(fd))
	}
	w.mu.Unlock()
	for i := range f.way {
		w.pipes.discard(f, &f.way[i])
	}
	for end, fd := range f.fd {
		if broken || f.left && end == container {
			abort(fd)
		} else {
			unix.Close(fd)
		}
	}
	w.path.leave(f)
}

// order has the worker do something with those of its established flows that are
// asked for. The channel is closed when that is done.
func (w *worker) order(do func(*flow), which func(*flow) bool) <-chan struct{} {
	done := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped.Load() {
		close(done)
		return done
	}
	w.orders = append(w.orders, order{do, which, done})
	w.wake()
	return done
}

// drop has the established flows that are asked for end with a reset, soon.
func (w *worker) drop(which func(*flow) bool) {
	w.order(func(f *flow) { w.finish(f, true) }, which)
}

func (w *worker) carryOut() {
	w.mu.Lock()
	orders := w.orders
	w.orders = nil
	w.mu.Unlock()
	for _, o := range orders {
		about := map[*flow]bool{}
		w.mu.Lock()
		for _, f := range w.flows {
			if f.state.Load() == established && o.which(f) {
				about[f] = true
			}
		}
		w.mu.Unlock()
		for f := range about {
			o.do(f)
		}
		close(o.done)
	}
}

func (w *worker) cancelOrders() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.orders {
		close(o.done)
	}
	w.orders = nil
}

// part goes on with a flow whose container has left: what it has sent is still carried
// to the world, whose answers are thrown away. The socket in N, which is there for what it
// has received, sends nothing more, not even a reset.
func (w *worker) part(f *flow) {
	if f.fd[container] < 0 || f.left {
		return
	}
	unix.SetsockoptInt(f.fd[container], unix.SOL_SOCKET, unix.SO_MARK, tun.Silent)
	f.left = true
	w.pipes.discard(f, &f.way[world])
	w.move(f, both)
}

// overdue ends a flow whose container has left long ago.
func (w *worker) overdue(f *flow) {
	if f.left {
		w.finish(f, true)
	}
}

// stop has run return.
func (w *worker) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped.Store(true)
	w.wake()
}

func (w *worker) wake() {
	unix.Write(w.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// close ends what is left, after run has returned.
func (w *worker) close() {
	left := map[*flow]bool{}
	for _, f := range w.flows {
		left[f] = true
	}
	for f := range left {
		w.end(f, true)
	}
	w.pipes.close()
	unix.Close(w.wakeup)
	unix.Close(w.epoll)
}
