package netstack

import (
	"context"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// Connections are given up as dead after idle + count × interval without a sign of life.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Minute, Interval: time.Minute, Count: 7}

// dial connects to the world, and then shows the stack the container's SYN.
func (p *Path) dial(ctx context.Context, f *flow, target netip.AddrPort) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	conn, err := dialer.DialContext(ctx, "tcp", target.String())
	if err != nil {
		if p.settle(f) && ctx.Err() == nil {
			p.refuse(f, err)
		}
		p.leave(f)
		return
	}
	p.awaitEnd(ctx, f.key)
	p.mu.Lock()
	if p.pending[f.key] != f || p.closed {
		p.settleLocked(f)
		p.mu.Unlock()
		reset(conn.(*net.TCPConn))
		p.leave(f)
		return
	}
	f.conn, f.admitted = conn.(*net.TCPConn), true
	packet := f.packet
	p.mu.Unlock()
	p.link.inject(packet)
}

// maxPause is how seldom it is asked whether the stack has forgotten a connection.
const maxPause = 50 * time.Millisecond

// awaitEnd waits until the stack has forgotten the last connection between the same ports, or
// ctx ends: a SYN that came while that one ends would be answered with a reset.
func (p *Path) awaitEnd(ctx context.Context, k key) {
	proto := header.IPv4ProtocolNumber
	if k.src.Addr().Is6() {
		proto = header.IPv6ProtocolNumber
	}
	id := stack.TransportEndpointID{
		LocalAddress: address(k.dst.Addr()), LocalPort: k.dst.Port(),
		RemoteAddress: address(k.src.Addr()), RemotePort: k.src.Port(),
	}
	for pause := timeWait; ctx.Err() == nil && p.stack.FindTransportEndpoint(proto, tcp.ProtocolNumber, id, nic) != nil; pause = min(2*pause, maxPause) {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// refuse tells the container what became of its SYN.
func (p *Path) refuse(f *flow, err error) {
	p.mu.Lock()
	raw := f.packet
	p.mu.Unlock()
	packet, bad := tun.Parse(raw)
	t, ok := tun.ParseTCP(packet.Payload)
	reason, answer := tun.ReasonFor(err)
	if bad != nil || !ok || !answer {
		return
	}
	if reason == tun.PortUnreachable {
		p.cfg.Device.Write(tun.AppendReset(nil, &packet, t))
		return
	}
	p.cfg.Device.Write(tun.AppendError(nil, &packet, reason, netip.Addr{}, 0))
}

// accept completes the handshake of a SYN that the stack was shown.
func (p *Path) accept(r *tcp.ForwarderRequest) {
	id := r.ID()
	k := key{netip.AddrPortFrom(addr(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(addr(id.LocalAddress), id.LocalPort)}
	p.mu.Lock()
	f := p.pending[k]
	if f == nil || !f.admitted || f.shaking {
		p.mu.Unlock()
		r.Complete(f == nil)
		return
	}
	f.shaking = true
	share := bufferSize(p.total)
	p.mu.Unlock()

	var queue waiter.Queue
	endpoint, err := r.CreateEndpoint(&queue)
	r.Complete(err != nil)
	if err != nil {
		p.settle(f)
		reset(f.conn)
		p.leave(f)
		return
	}
	f.endpoint = endpoint.(*tcp.Endpoint)
	tune(f.endpoint, share)
	p.mu.Lock()
	p.settleLocked(f)
	p.open[f.key] = f
	closed := p.closed
	p.mu.Unlock()
	if m, _ := p.cfg.Directory.Of(f.key.src.Addr()); closed || m == nil || m.ID() != f.member.ID() { // Leave may have missed it
		f.abort()
	}
	p.relay(f, &queue)
	p.leave(f)
}

// tune bounds what a connection holds in memory, and has it find out when the container is gone.
func tune(e *tcp.Endpoint, share int) {
	o := e.SocketOptions()
	o.SetSendBufferSize(int64(share), false)
	o.SetReceiveBufferSize(int64(share), false)
	o.SetKeepAlive(true)
	idle, interval := tcpip.KeepaliveIdleOption(keepAlive.Idle), tcpip.KeepaliveIntervalOption(keepAlive.Interval)
	e.SetSockOpt(&idle)
	e.SetSockOpt(&interval)
	e.SetSockOptInt(tcpip.KeepaliveCountOption, keepAlive.Count)
}

const (
	// memory is shared by connections: the n-th gets the n-th part for each direction.
	memory    = 16 << 20
	minBuffer = 64 << 10
	maxBuffer = 2 << 20
)

func bufferSize(connections int) int {
	return min(max(memory/max(connections, 1), minBuffer), maxBuffer)
}

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func addr(a tcpip.Address) netip.Addr {
	b, _ := netip.AddrFromSlice(a.AsSlice())
	return b
}
