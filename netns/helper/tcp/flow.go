package tcp

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// A flow's states, in their order.
const (
	dialling      = iota // the host's connect(2) is under way
	admittedState        // connected; the SYN was written back, the handshake goes on in N
	established          // both sockets are there: its worker's alone
)

// The ends of a flow, and the ways from them.
const (
	container = iota
	world
)

// flow is one connection.
type flow struct {
	key    key
	member *member.Member
	usage  *usage
	worker *worker
	state  atomic.Int32

	// While it is pending, under Path.mu.
	target   netip.AddrPort // as seen from the host
	packet   []byte         // the SYN; replaced, never changed
	offload  tun.Offload
	first    time.Time
	deadline time.Time

	fd      [2]int  // container, world; -1: not there
	way     [2]way  // from container, from world; like the following the worker's alone
	watched [2]bool // whether an end has space is watched
	fading  bool
	left    bool // see worker.part

	broken atomic.Bool // ends with a reset
}

// patience is how long a container may be silent that should have sent its SYN
// again, or the last part of the handshake.
const patience = 3 * time.Second

func newFlow(k key, m *member.Member, packet *tun.Packet) *flow {
	f := &flow{key: k, member: m, fd: [2]int{-1, -1}, first: time.Now()}
	f.remember(packet)
	return f
}

// remember keeps the newest SYN, and gives the container time for the next one: the
// pauses between them double (RFC 6298), so the next comes at the latest after as long
// as it took until now, and a second.
func (f *flow) remember(packet *tun.Packet) {
	now := time.Now()
	f.packet, f.offload = bytes.Clone(packet.Bytes), packet.Offload
	f.deadline = now.Add(patience + 2*now.Sub(f.first))
}

// family is the index of the flow's listener.
func (f *flow) family() int {
	if f.key.dst.Addr().Is6() {
		return 1
	}
	return 0
}

// refuse tells the container what became of its SYN.
func (p *Path) refuse(f *flow, err error) {
	packet, bad := tun.Parse(f.packet)
	t, ok := tun.ParseTCP(packet.Payload)
	reason, answer := tun.ReasonFor(err)
	if bad != nil || !ok || !answer {
		return
	}
	if reason == tun.PortUnreachable {
		p.reset(&packet, t)
		return
	}
	var buf [maxSYN + 80]byte
	p.Device.Write(tun.AppendError(buf[:0], &packet, reason, netip.Addr{}, 0))
}

// dial begins to connect from the host's network. On loopback it is done with that.
func (p *Path) dial(f *flow, target netip.AddrPort) {
	f.target = target
	fd, err := connect(target)
	if err != nil {
		p.fail(f, err)
		return
	}
	f.worker = p.workers[int(p.next.Add(1))%len(p.workers)]
	p.mu.Lock()
	if p.pending[f.key] != f { // dropped meanwhile
		p.mu.Unlock()
		unix.Close(fd)
		return
	}
	f.fd[world] = fd
	p.mu.Unlock()
	if p.progress(f) {
		return
	}
	p.mu.Lock()
	if p.pending[f.key] == f {
		err = f.worker.await(f)
	}
	p.mu.Unlock()
	if err != nil {
		p.fail(f, err)
	}
}

// connect makes a socket in the host's network and has it connect, without waiting.
func connect(target netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if target.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = tune(fd); err == nil {
		err = unix.Connect(fd, sockaddr(target))
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// progress looks what became of a dial, and goes on with the flow if it came to an
// end. False: it is still under way.
func (p *Path) progress(f *flow) bool {
	p.mu.Lock()
	if p.pending[f.key] != f || f.state.Load() != dialling {
		p.mu.Unlock()
		return true
	}
	err := unix.Connect(f.fd[world], sockaddr(f.target)) // says how the first one went
	switch err {
	case unix.EALREADY, unix.EINPROGRESS:
		p.mu.Unlock()
		return false
	case nil, unix.EISCONN:
		if !toItself(f.fd[world], f.target) {
			f.state.Store(admittedState)
			packet, offload := f.packet, f.offload
			p.mu.Unlock()
			p.Device.WriteParts(offload, packet, nil)
			// The handshake is over when the write returns, unless another
			// processor has taken it up.
			p.accept(f)
			return true
		}
		err = unix.ECONNREFUSED
	}
	p.mu.Unlock()
	p.fail(f, err)
	return true
}

// toItself: where nobody listens at a port of the host's own that is also one for outgoing
// connections, connect(2) may choose that very port and meet itself.
func toItself(fd int, target netip.AddrPort) bool {
	if target.Port() < 1024 {
		return false
	}
	name, err := unix.Getsockname(fd)
	return err == nil && addrPort(name) == target
}

// fail ends a pending flow whose dial failed.
func (p *Path) fail(f *flow, err error) {
	p.mu.Lock()
	mine := p.claim(f)
	p.mu.Unlock()
	if mine {
		p.refuse(f, err)
		p.abandon(f)
	}
}

// abandon closes a flow that was claimed and has no socket in N.
func (p *Path) abandon(f *flow) {
	if fd := f.fd[world]; fd >= 0 {
		if f.worker != nil {
			f.worker.remove(fd)
		}
		abort(fd)
	}
	p.leave(f)
}

// abort closes a socket with a reset.
func abort(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// accept takes the connection of an admitted flow, or has a worker wait for it.
func (p *Path) accept(f *flow) {
	family := f.family()
	p.acceptAll(family)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending[f.key] == f {
		p.workers[0].arm(p.listeners[family])
	}
}

// arrived is for the worker that was armed.
func (p *Path) arrived(family int) {
	p.acceptAll(family)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) > 0 {
		p.workers[0].arm(p.listeners[family])
	}
}

// acceptAll takes the connections that a listener has.
func (p *Path) acceptAll(family int) {
	for {
		fd, peer, err := unix.Accept4(p.listeners[family], unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			p.admit(fd, peer)
		case unix.EINTR, unix.ECONNABORTED:
		default: // EAGAIN; or EMFILE, and the container's reset or the next SYN's accept clears the queue
			return
		}
	}
}

// admit joins an accepted connection with its dial. The socket's own address is where
// the container wanted to go.
func (p *Path) admit(fd int, peer unix.Sockaddr) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		abort(fd)
		return
	}
	k := key{addrPort(peer), addrPort(name)}
	p.mu.Lock()
	f := p.pending[k]
	if f == nil || f.state.Load() != admittedState || !p.claim(f) {
		p.mu.Unlock()
		abort(fd) // its dial was given up, or it found the listener by itself
		return
	}
	f.fd[container] = fd
	f.packet = nil
	p.live[k] = f
	p.mu.Unlock()
	if f.worker.establish(f) != nil {
		f.worker.drop(func(other *flow) bool { return other == f })
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
