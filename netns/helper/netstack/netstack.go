// Package netstack stands in for package tcp where the kernel path cannot be had (nft's
// tproxy or socket is missing): it ends the containers' connections in gVisor's TCP and
// carries their data to sockets of the host's.
//
// As there, a SYN waits for the answer of the host it is for: the stack gets to see it
// only when the connection to the world is there.
package netstack

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

const (
	// maxPending is what one container may have begun and not brought to an end.
	maxPending = 1024
	// maxOwn and maxFlows bound connections, of a container and in all; less where
	// there are fewer descriptors.
	maxOwn   = 4096
	maxFlows = 16384

	// patience is how long a container may be silent that should have sent its SYN again.
	patience   = 3 * time.Second
	sweepEvery = 500 * time.Millisecond

	maxSYN = 512 // octets; one with data is for TCP Fast Open, which is not offered
)

// Config is what a Path is made of.
type Config struct {
	Device    *tun.Device // whose handler of TCP calls Handle
	Directory *member.Directory
}

// Path is the way out for TCP. Its methods may be called from several goroutines.
type Path struct {
	cfg   Config
	stack *stack.Stack
	link  *link
	limit int

	mu      sync.Mutex
	closed  bool
	pending map[key]*flow // dialling, or shaking hands
	open    map[key]*flow
	count   map[string]int // flows of each container
	total   int
	sweep   *time.Timer // runs while something is pending
	running sync.WaitGroup
}

// key is a connection as the container sees it.
type key struct{ src, dst netip.AddrPort }

// flow is one connection. While it is pending, Path.mu guards what changes.
type flow struct {
	key      key
	member   *member.Member
	cancel   context.CancelFunc // of its dial
	packet   []byte             // the newest SYN
	first    time.Time
	deadline time.Time
	admitted bool // the stack has seen the SYN
	shaking  bool // the stack has taken it up
	conn     *net.TCPConn
	endpoint *tcp.Endpoint // when open
	over     atomic.Bool   // nothing more comes of the container's
}

// Start makes the stack. Its connections to the world are made in the process's own
// network namespace.
func Start(cfg Config) (*Path, error) {
	p := &Path{cfg: cfg, pending: map[key]*flow{}, open: map[key]*flow{}, count: map[string]int{}}
	var descriptors unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &descriptors); err != nil {
		return nil, fmt.Errorf("reading the limit of descriptors: %w", err)
	}
	p.limit = int(min(descriptors.Cur/2, maxFlows))
	if err := p.makeStack(); err != nil {
		return nil, err
	}
	return p, nil
}

// Serve is [tun.Device.Serve].
func (p *Path) Serve(h tun.Handlers) error { return p.cfg.Device.Serve(h) }

// Handle takes a TCP packet from the device.
func (p *Path) Handle(packet *tun.Packet) {
	t, ok := tun.ParseTCP(packet.Payload)
	if !ok || packet.Fragment || !intact(packet) {
		return
	}
	if t.Flags&(tun.FIN|tun.SYN|tun.RST|tun.ACK) == tun.SYN {
		p.syn(packet, t)
		return
	}
	if m, _ := p.cfg.Directory.Of(packet.Src); m == nil {
		return
	}
	if t.Flags&(tun.FIN|tun.RST) != 0 {
		p.over(keyOf(packet, t), t.Flags&tun.RST != 0)
	}
	p.link.inject(packet.Bytes)
}

func keyOf(packet *tun.Packet, t tun.TCP) key {
	return key{netip.AddrPortFrom(packet.Src, t.SrcPort), netip.AddrPortFrom(packet.Dst, t.DstPort)}
}

// over notes that the container has nothing to do with a connection any more: it has reset it, or ended
// it after the stack. The stack itself notices a moment later, in which the container may
// have begun another one from the same port.
func (p *Path) over(k key, reset bool) {
	p.mu.Lock()
	f := p.open[k]
	p.mu.Unlock()
	if f == nil {
		return
	}
	if state := f.endpoint.EndpointState(); reset || state == tcp.StateFinWait1 || state == tcp.StateFinWait2 {
		f.over.Store(true)
	}
}

// intact verifies a packet's checksum, where there is one already.
func intact(packet *tun.Packet) bool {
	if packet.Offload.NeedsChecksum {
		return true
	}
	ip := tun.IP{Src: packet.Src, Dst: packet.Dst, Proto: packet.Proto}
	return tun.Checksum(packet.Payload, ip.Pseudo(len(packet.Payload))) == 0
}

func (p *Path) syn(packet *tun.Packet, t tun.TCP) {
	if len(packet.Bytes) > maxSYN {
		return
	}
	k := keyOf(packet, t)
	if p.repeated(k, packet) {
		return
	}
	target, m, err := p.cfg.Directory.Target(packet.Src, k.dst)
	if m == nil {
		return
	}
	if err != nil {
		p.cfg.Device.Write(tun.AppendReset(nil, packet, t))
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &flow{key: k, member: m, cancel: cancel, first: time.Now()}
	f.remember(packet)
	if !p.enter(f) {
		cancel()
		return // the SYN comes again
	}
	go p.dial(ctx, f, target)
}

// remember keeps the newest SYN, and gives the container time for the next one: the
// pauses between them double (RFC 6298).
func (f *flow) remember(packet *tun.Packet) {
	now := time.Now()
	f.packet = bytes.Clone(packet.Bytes)
	f.deadline = now.Add(patience + 2*now.Sub(f.first))
}

// repeated deals with a SYN of a connection that is known.
func (p *Path) repeated(k key, packet *tun.Packet) bool {
	p.mu.Lock()
	f := p.pending[k]
	forward := p.open[k].lives() // RFC 9293, section 3.10.7.4: the stack challenges it
	if f != nil {
		f.remember(packet)
		forward = f.admitted
	}
	p.mu.Unlock()
	if forward {
		p.link.inject(packet.Bytes)
	}
	return forward || f != nil
}

// lives tells whether the container may still have something to say. Where its last
// words are on their way to the stack, it may use the port again.
func (f *flow) lives() bool {
	if f == nil || f.over.Load() {
		return false
	}
	switch f.endpoint.EndpointState() {
	case tcp.StateLastAck, tcp.StateClosing, tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
		return false
	}
	return true
}

// enter makes a connection known, unless there are too many.
func (p *Path) enter(f *flow) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := f.member.ID()
	if p.closed || p.total >= p.limit || p.count[id] >= min(maxOwn, p.limit/2) {
		return false
	}
	if f.member.Pending.Add(1) > maxPending {
		f.member.Pending.Add(-1)
		return false
	}
	p.total++
	p.count[id]++
	p.pending[f.key] = f
	p.running.Add(1)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(sweepEvery, p.collect)
	}
	return true
}

// settle takes a connection out of the pending ones. Only who settles it goes on with it.
func (p *Path) settle(f *flow) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settleLocked(f)
}

func (p *Path) settleLocked(f *flow) bool {
	if p.pending[f.key] != f {
		return false
	}
	delete(p.pending, f.key)
	f.member.Pending.Add(-1)
	return true
}

// leave forgets a connection.
func (p *Path) leave(f *flow) {
	f.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[f.key] == f {
		delete(p.open, f.key)
	}
	p.total--
	if p.count[f.member.ID()]--; p.count[f.member.ID()] == 0 {
		delete(p.count, f.member.ID())
	}
	p.running.Done()
}

// collect gives up dials whose container does not ask any more.
func (p *Path) collect() {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.pending {
		if now.After(f.deadline) && !f.shaking {
			p.giveUpLocked(f)
		}
	}
	p.sweep = nil
	if len(p.pending) > 0 && !p.closed {
		p.sweep = time.AfterFunc(sweepEvery, p.collect)
	}
}

// giveUpLocked ends a pending connection that the stack has not taken up.
func (p *Path) giveUpLocked(f *flow) {
	if p.settleLocked(f) && f.admitted {
		reset(f.conn)
		go p.leave(f)
		return
	}
	f.cancel() // its dial returns, and leaves
}

// Leave ends the connections of an address that is its container's no longer, when the
// directory says so already: at once, but for those whose container's last words are
// still on their way out.
func (p *Path) Leave(addr netip.Addr) {
	late := time.Now().Add(leaveLimit)
	for _, f := range p.giveUp(func(f *flow) bool { return f.key.src.Addr() == addr }) {
		if f.delivered() {
			f.abort()
			continue
		}
		go func() {
			for !f.delivered() && time.Now().Before(late) {
				time.Sleep(leaveStep)
			}
			f.abort()
		}()
	}
}

// How long the world has for what a container has left behind, and how often it is looked.
const (
	leaveLimit = 2 * time.Second
	leaveStep  = 5 * time.Millisecond
)

// delivered tells whether the world has acknowledged all that the container has sent.
func (f *flow) delivered() bool {
	if n, err := f.endpoint.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil && n > 0 {
		return false
	}
	unsent := 0
	if raw, err := f.conn.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unsent, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	}
	return unsent == 0
}

func (f *flow) abort() {
	f.over.Store(true) // before the container hears of it
	f.endpoint.Abort()
	reset(f.conn)
}

// giveUp ends the pending ones of some connections, and returns the others.
func (p *Path) giveUp(which func(*flow) bool) (open []*flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.pending {
		if which(f) && !f.shaking {
			p.giveUpLocked(f)
		}
	}
	for _, f := range p.open {
		if which(f) {
			open = append(open, f)
		}
	}
	return open
}

// Flows tells how many connections there are, pending ones included.
func (p *Path) Flows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Close ends all connections with a reset, and the stack. The device stays open.
func (p *Path) Close() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	if again {
		return
	}
	for _, f := range p.giveUp(func(*flow) bool { return true }) {
		f.abort()
	}
	p.stack.Destroy()
	p.running.Wait()
}

// reset closes a connection to the world with a reset.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
