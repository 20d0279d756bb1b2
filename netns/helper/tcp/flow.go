package tcp

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/sock"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// A flow's states, in their order.
const (
	dialling      = iota // the host's connect(2) is under way
	admittedState        // connected; the SYN was written back, the handshake goes on in N
	established          // both sockets are there: its loop's alone
)

// container is the first socket of a flow's pair.
const container = 0

// flow is one connection.
type flow struct {
	relay.Pair // from the moment that it is established

	path   *Path
	key    key
	member *member.Member
	usage  *usage
	state  atomic.Int32

	// While it is pending, under Path.mu.
	target   netip.AddrPort // as seen from the host
	packet   []byte         // the SYN; replaced, never changed
	offload  tun.Offload
	first    time.Time
	deadline time.Time
	world    int         // the host's socket; -1: not there
	dialling relay.Token // zero: the loop does not wait for the dial

	inside int // the socket in N
}

// patience is how long a container may be silent that should have sent its SYN
// again, or the last part of the handshake.
const patience = 3 * time.Second

func (p *Path) newFlow(k key, m *member.Member, packet *tun.Packet) *flow {
	f := &flow{path: p, key: k, member: m, world: -1, first: time.Now()}
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
	p.mu.Lock()
	if p.pending[f.key] != f { // dropped meanwhile
		p.mu.Unlock()
		sock.Close(fd)
		return
	}
	f.world = fd
	p.mu.Unlock()
	if p.progress(f) {
		return
	}
	p.mu.Lock()
	if p.pending[f.key] == f {
		f.dialling, err = f.path.loops[0].Add(fd, unix.EPOLLOUT|unix.EPOLLET, dial{f})
	}
	p.mu.Unlock()
	if err != nil {
		p.fail(f, err)
	}
}

// dial sees how a flow's dial ends.
type dial struct{ *flow }

func (d dial) Ready(uint32) { d.path.progress(d.flow) }

// connect makes a socket in the host's network and has it connect, without waiting.
func connect(target netip.AddrPort) (int, error) {
	fd, err := sock.Open(target.Addr())
	if err != nil {
		return -1, err
	}
	if err = tune(fd); err == nil {
		err = sock.Connect(fd, target)
	}
	if err != nil && err != unix.EINPROGRESS {
		sock.Close(fd)
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
	err := sock.Connect(f.world, f.target) // says how the first one went
	switch err {
	case unix.EALREADY, unix.EINPROGRESS:
		p.mu.Unlock()
		return false
	case nil, unix.EISCONN:
		if !toItself(f.world, f.target) {
			f.state.Store(admittedState)
			f.forget()
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

// forget has the loop not wait for the dial any more. The caller holds Path.mu, or has claimed the flow.
func (f *flow) forget() {
	if f.dialling != (relay.Token{}) {
		f.path.loops[0].Remove(f.world, f.dialling)
		f.dialling = relay.Token{}
	}
}

// toItself: where nobody listens at a port of the host's own that is also one for outgoing
// connections, connect(2) may choose that very port and meet itself.
func toItself(fd int, target netip.AddrPort) bool {
	if target.Port() < 1024 {
		return false
	}
	name, err := sock.Name(fd)
	return err == nil && name == target
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
	if f.world >= 0 {
		f.forget()
		sock.Abort(f.world)
	}
	p.gone(f)
}

// accept takes the connection of an admitted flow, or has a loop wait for it.
func (p *Path) accept(f *flow) {
	family := f.family()
	p.acceptAll(family)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending[f.key] == f {
		p.arm(family)
	}
}

// arm has the first loop look once for connections at a listener, those included that
// are there already. While every handshake is over when its SYN was written, it is not woken
// for them.
func (p *Path) arm(family int) {
	p.loops[0].Modify(p.listeners[family], unix.EPOLLIN|unix.EPOLLONESHOT, p.armed[family])
}

// arrivals are connections at a listener that was armed.
type arrivals struct {
	path   *Path
	family int
}

func (a arrivals) Ready(uint32) {
	a.path.acceptAll(a.family)
	a.path.mu.Lock()
	defer a.path.mu.Unlock()
	if len(a.path.pending) > 0 {
		a.path.arm(a.family)
	}
}

// acceptAll takes the connections that a listener has.
func (p *Path) acceptAll(family int) {
	for {
		fd, peer, err := sock.Accept(p.listeners[family])
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
func (p *Path) admit(fd int, peer netip.AddrPort) {
	name, err := sock.Name(fd)
	if err != nil {
		sock.Abort(fd)
		return
	}
	k := key{peer, name}
	p.mu.Lock()
	f := p.pending[k]
	if f == nil || f.state.Load() != admittedState || !p.claim(f) {
		p.mu.Unlock()
		sock.Abort(fd) // its dial was given up, or it found the listener by itself
		return
	}
	f.packet, f.inside = nil, fd
	p.live[k] = f
	p.mu.Unlock()
	if f.path.loops[0].Join(&f.Pair, fd, f.world, &f.usage.budget, f) != nil {
		p.gone(f)
	}
	f.state.Store(established)
}

// Settled has nothing to say: both sockets of a flow are connected.
func (f *flow) Settled() {}

// Ended is called when all is closed.
func (f *flow) Ended() { f.path.gone(f) }

// leave goes on with a flow whose container has left: what it has sent is still carried
// to the world, whose answers are thrown away. The socket in N, which is there for what it
// has received, sends nothing more, not even a reset.
func (f *flow) leave() {
	if f.Closed() {
		return
	}
	sock.Set(f.inside, unix.SOL_SOCKET, unix.SO_MARK, tun.Silent)
	f.Leave(container, leaveLimit)
}
