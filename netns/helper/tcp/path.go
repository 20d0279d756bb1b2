// Package tcp is the kernel path: the connections of containers to the world, between
// kernel sockets at both ends.
//
//	container ──SYN──▶ N: routed to the device ──▶ Handle: dials from the host's network
//	                                                ├─ refused, unreachable → answers so
//	                                                ├─ timed out, dropped   → silence
//	                                                └─ connected → writes the same SYN back into the device
//	N: a SYN from the device → tproxy to the listener; the kernel completes the handshake
//	   accepted: the flow of that four-tuple, relayed between the two sockets from then on
//
// A SYN waits for the host's answer, so a container sees the world's answer and nothing
// is promised that does not hold. The interface is the admission: only the helper writes
// to the device, so there is no list of admitted tuples that a port used again could
// find its old self in. The rules that lead packets so are package firewall's.
//
// Nothing here waits: dials, accepts and transfers are steps that events drive, on a few
// threads (package relay). A flow costs two descriptors and some hundred octets, no
// goroutine and, while nothing moves, no pipe.
package tcp

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

const (
	// maxPending is what one container may have begun and not brought to an end.
	maxPending = 1024
	// maxFlows is what all may have, each half of it at most; less where there are
	// fewer descriptors.
	maxFlows = 65536
)

// Config is what a Path is made of.
type Config struct {
	N         *space.Space
	Device    *tun.Device // whose handler of TCP calls Handle
	Directory *member.Directory
}

// Path is the kernel path. Its methods may be called from several goroutines.
type Path struct {
	Config
	port      uint16
	listeners [2]int        // IPv4, IPv6; -1: IPv6 is off
	loops     []*relay.Loop // the first has the device and all flows but those that carry much
	limit     int           // flows in all
	armed     [2]relay.Token

	inside sync.RWMutex // held by Handle, so that Close closes nothing under it

	mu      sync.Mutex
	closed  bool
	pending map[key]*flow // dialling and admitted
	live    map[key]*flow // established
	usage   map[string]*usage
	total   int
	sweep   *time.Timer // runs while there is a pending flow
}

// usage is what a container has open.
type usage struct {
	flows  int
	budget relay.Budget
}

// key is a flow as the container sees it.
type key struct{ src, dst netip.AddrPort }

// Start makes the listeners in N and the loops. The caller then has the firewall
// lead SYNs from the device to ListenPort.
func Start(c Config) (*Path, error) {
	p := &Path{Config: c, pending: map[key]*flow{}, live: map[key]*flow{}, usage: map[string]*usage{}}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("reading the limit of descriptors: %w", err)
	}
	p.limit = int(min(limit.Cur*2/5, maxFlows)) // two for each flow; the rest for pipes and for others
	if err := c.N.Do(p.listen); err != nil {
		return nil, fmt.Errorf("listening for the kernel path: %w", err)
	}
	if err := p.startLoops(); err != nil {
		p.Close()
		return nil, err
	}
	for family, l := range p.listeners {
		if l < 0 {
			continue
		}
		var err error
		if p.armed[family], err = p.loops[0].Add(l, 0, arrivals{p, family}); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// ListenPort is where the firewall has to lead a SYN from the device (nft's tproxy), in
// both families.
func (p *Path) ListenPort() uint16 { return p.port }

// Handle takes a TCP packet from the device.
func (p *Path) Handle(packet *tun.Packet) {
	t, ok := tun.ParseTCP(packet.Payload)
	if !ok || packet.Fragment {
		return
	}
	p.inside.RLock()
	defer p.inside.RUnlock()
	switch t.Flags & (tun.FIN | tun.SYN | tun.RST | tun.ACK) {
	case tun.SYN:
		p.syn(packet, t)
	case tun.FIN, tun.ACK, tun.FIN | tun.ACK, tun.SYN | tun.ACK:
		p.stray(packet, t)
	}
}

// stray deals with a segment that found no socket in N. Before Linux 6.19, one that
// comes on one processor just while another makes a connection of its handshake finds
// neither ("inet: Avoid ehash lookup race in inet_ehash_insert()"): it gets a second
// chance, and if that does not help its sender repeats it, as the firewall lets nothing
// come back out of the device that came from there. All others are of flows that nobody
// has: their helper died.
func (p *Path) stray(packet *tun.Packet, t tun.TCP) {
	k := keyOf(packet, t)
	p.mu.Lock()
	known := p.live[k] != nil || p.pending[k] != nil
	p.mu.Unlock()
	if known {
		p.Device.WriteParts(packet.Offload, packet.Bytes, nil)
	} else if m, _ := p.Directory.Of(packet.Src); m != nil {
		p.reset(packet, t)
	}
}

func keyOf(packet *tun.Packet, t tun.TCP) key {
	return key{netip.AddrPortFrom(packet.Src, t.SrcPort), netip.AddrPortFrom(packet.Dst, t.DstPort)}
}

// maxSYN is how long a SYN may be. One with data asks for TCP Fast Open, for which the
// listener hands out no cookie.
const maxSYN = 512

func (p *Path) syn(packet *tun.Packet, t tun.TCP) {
	if len(packet.Bytes) > maxSYN {
		return
	}
	k := keyOf(packet, t)
	if p.repeated(k, packet) {
		return
	}
	target, m, err := p.Directory.Target(packet.Src, k.dst)
	if m == nil {
		return
	}
	if err != nil {
		p.reset(packet, t)
		return
	}
	f := p.newFlow(k, m, packet)
	if p.enter(f) {
		p.dial(f, target)
	}
}

// repeated deals with a SYN of a flow that is under way.
func (p *Path) repeated(k key, packet *tun.Packet) bool {
	p.mu.Lock()
	f := p.pending[k]
	var admitted bool
	if f != nil {
		f.remember(packet) // the same port may have begun again, with another sequence number
		admitted = f.state.Load() == admittedState
	}
	p.mu.Unlock()
	if admitted {
		p.Device.WriteParts(packet.Offload, packet.Bytes, nil)
		p.accept(f)
	}
	return f != nil
}

// enter makes a flow known, unless there are too many. A SYN that finds no room is
// dropped and comes again.
func (p *Path) enter(f *flow) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := f.member.ID()
	u := p.usage[id]
	if u == nil {
		u = &usage{}
	}
	if p.closed || p.total >= p.limit || u.flows >= p.limit/2 {
		return false
	}
	if f.member.Pending.Add(1) > maxPending {
		f.member.Pending.Add(-1)
		return false
	}
	f.usage = u
	p.usage[id] = u
	u.flows++
	p.total++
	p.pending[f.key] = f
	if p.sweep == nil {
		p.sweep = time.AfterFunc(sweepEvery, p.collect)
	}
	return true
}

// claim takes a flow out of the pending ones. Only who claims it may close it or
// go on with it. The caller holds p.mu.
func (p *Path) claim(f *flow) bool {
	if p.pending[f.key] != f {
		return false
	}
	delete(p.pending, f.key)
	f.member.Pending.Add(-1)
	return true
}

// gone forgets a flow that holds no descriptor any more.
func (p *Path) gone(f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.live[f.key] == f { // else its port is in use again
		delete(p.live, f.key)
	}
	if f.usage.flows--; f.usage.flows == 0 {
		delete(p.usage, f.member.ID())
	}
}

// sweepEvery is how often flows that came to nothing are looked for.
const sweepEvery = 500 * time.Millisecond

// collect ends pending flows whose container does not ask any more.
func (p *Path) collect() {
	var gone []*flow
	now := time.Now()
	p.mu.Lock()
	for _, f := range p.pending {
		if now.After(f.deadline) && p.claim(f) {
			gone = append(gone, f)
		}
	}
	p.sweep = nil
	if len(p.pending) > 0 && !p.closed {
		p.sweep = time.AfterFunc(sweepEvery, p.collect)
	}
	p.mu.Unlock()
	for _, f := range gone {
		p.abandon(f)
	}
}

// leaveLimit is how long the world has for what a container has left behind.
const leaveLimit = time.Minute

// Leave ends the flows of an address that is its container's no longer, when the
// directory says so already. What the container has sent before is still passed on, as
// its own kernel would do; but when Leave returns nothing of what the world
// sends goes to the address any more, which may soon be another's.
func (p *Path) Leave(addr netip.Addr) {
	of := func(f *flow) bool { return f.key.src.Addr() == addr }
	p.abandonPending(of)
	p.awaitEstablished(of)
	var left []*flow
	p.mu.Lock()
	for _, f := range p.live {
		if of(f) {
			left = append(left, f)
		}
	}
	p.mu.Unlock()
	for _, f := range left {
		f.Do(f.leave)
	}
}

// awaitEstablished waits for flows that are neither pending nor established yet.
func (p *Path) awaitEstablished(which func(*flow) bool) {
	for between := true; between; {
		between = false
		p.mu.Lock()
		for _, f := range p.live {
			between = between || f.state.Load() != established && which(f)
		}
		p.mu.Unlock()
		if between {
			time.Sleep(time.Millisecond)
		}
	}
}

func (p *Path) abandonPending(which func(*flow) bool) {
	var gone []*flow
	p.mu.Lock()
	for _, f := range p.pending {
		if which(f) && p.claim(f) {
			gone = append(gone, f)
		}
	}
	p.mu.Unlock()
	for _, f := range gone {
		p.abandon(f)
	}
}

// Flows tells how many flows there are, pending ones included.
func (p *Path) Flows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// awaitInside returns when no packet is being handled: none comes in any more.
func (p *Path) awaitInside() {
	p.inside.Lock()
	defer p.inside.Unlock()
}

// Close ends all flows with a reset, and what carries them. The device stays open.
func (p *Path) Close() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	if again {
		return
	}
	p.awaitInside()
	p.abandonPending(func(*flow) bool { return true })
	for _, l := range p.loops {
		l.Close()
	}
	for _, l := range p.listeners {
		if l >= 0 {
			unix.Close(l)
		}
	}
}

// reset answers a segment with a reset.
func (p *Path) reset(packet *tun.Packet, t tun.TCP) {
	var buf [60]byte
	if answer := tun.AppendReset(buf[:0], packet, t); len(answer) > 0 {
		p.Device.Write(answer)
	}
}
