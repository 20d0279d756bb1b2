// Package udp carries UDP between containers and the host's network: datagrams from
// the device go out by sockets of the host's, one for each of a container's sockets, and what
// these receive goes back into the device.
//
// The containers' own questions are kept as far as a socket can: fragmenting or not (the
// path's MTU is told by ICMP), hop limit (so traceroute works), traffic class with ECN both
// ways, and segmentation offload (a bundle of QUIC packets stays one until the host's card).
package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/flow"
	"github.com/skiff-containers/skiff/netns/helper/fragment"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

const (
	headerLen = 8 // RFC 768

	// perContainer and total bound the flows, and so descriptors. total is lower where
	// the process may not have as many.
	perContainer = 1024
	total        = 8192

	// RFC 4787, section 4.3, has two minutes at least for what was answered.
	idleReplied   = 180 * time.Second
	idleUnreplied = 30 * time.Second
	idleDNS       = 10 * time.Second

	// receiveBuffer is asked for, in octets; net.core.rmem_max may allow less.
	receiveBuffer = 1 << 20
	// sendBuffer, with net.core.wmem_max, is so for what a card has not sent yet.
	sendBuffer = 1 << 20
)

// Config is what a Path needs.
type Config struct {
	Device    *tun.Device
	Directory *member.Directory
	// MTU is the largest packet that a network takes; nil: 1500 for each. Bigger IPv6 datagrams
	// are fragmented here, as no router does it.
	MTU func(*store.Network) int
}

// Path is the way out for UDP.
type Path struct {
	cfg   Config
	flows *flow.Table
	parts fragment.Reassembler // of Handle

	together flow.Bundle // of HandleAll
	head     [48]byte    // of Deliver
	ids      atomic.Uint32
	ungroups atomic.Bool // the device takes no bundles
}

// Start makes a Path. Its sockets are in the process's own network namespace.
func Start(cfg Config) (*Path, error) {
	p := &Path{cfg: cfg}
	limit := total
	var descriptors unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &descriptors); err == nil {
		limit = int(min(total, descriptors.Cur/4))
	}
	var err error
	p.flows, err = flow.Start(flow.Config{Directory: cfg.Directory, Protocol: protocol{p}, PerContainer: perContainer, Total: limit})
	if err != nil {
		return nil, fmt.Errorf("starting the way out for UDP: %w", err)
	}
	return p, nil
}

// Forget closes what a container has open.
func (p *Path) Forget(container string) { p.flows.Forget(container) }

// Flows is how many sockets of containers are served.
func (p *Path) Flows() int { return p.flows.Len() }

// Close ends all flows.
func (p *Path) Close() { p.flows.Close() }

// Handle takes a packet from the device. It and HandleAll are for one goroutine.
func (p *Path) Handle(packet *tun.Packet) {
	packet = p.parts.Add(packet)
	if packet == nil {
		return
	}
	from, to, data, ok := parse(packet)
	if !ok {
		return
	}
	if err := p.send(packet, from, to, data); err != nil {
		p.refuse(packet, err)
	}
}

// HandleAll takes datagrams of one flow that have waited together (tun.Handlers). The
// host's kernel gets them in one call, which is what a helper that is late makes up for it by.
func (p *Path) HandleAll(packets []tun.Packet) {
	var from, to netip.AddrPort
	p.together.Reset()
	for i := range packets {
		var data []byte
		var ok bool
		if from, to, data, ok = parse(&packets[i]); !ok || !p.together.Add(data) {
			p.handleEach(packets) // somebody tries what happens
			return
		}
	}
	first := &packets[0]
	f, err := p.flows.Get(from)
	if err == nil {
		err = f.SendAll(to, &p.together, flow.How{DontFragment: first.DontFragment, TTL: first.TTL, TOS: first.TOS})
	}
	if err != nil {
		p.refuse(first, err)
	}
}

func (p *Path) handleEach(packets []tun.Packet) {
	for i := range packets {
		p.Handle(&packets[i])
	}
}

func (p *Path) send(packet *tun.Packet, from, to netip.AddrPort, data []byte) error {
	f, err := p.flows.Get(from)
	if err != nil {
		return err
	}
	segment := 0
	if packet.Offload.GSO == tun.GSOUDP {
		segment = int(packet.Offload.SegmentSize)
	}
	how := flow.How{DontFragment: packet.DontFragment, TTL: packet.TTL, TOS: packet.TOS}
	return f.Send(to, data, how, segment)
}

// refuse answers a packet that cannot be sent.
func (p *Path) refuse(packet *tun.Packet, err error) {
	if errors.Is(err, member.ErrProhibited) {
		err = unix.EACCES
	}
	reason, ok := tun.ReasonFor(err)
	if !ok {
		return // as if it were lost: too many flows, no descriptor
	}
	mtu := 0
	if tooBig, ok := errors.AsType[*flow.TooBigError](err); ok {
		mtu = tooBig.MTU
	}
	if b := tun.AppendError(nil, packet, reason, netip.Addr{}, mtu); b != nil {
		p.cfg.Device.Write(b)
	}
}

// parse reads a UDP packet (RFC 768; RFC 8200, section 8.1, for the checksum).
func parse(p *tun.Packet) (from, to netip.AddrPort, data []byte, ok bool) {
	b := p.Payload
	if len(b) < headerLen {
		return from, to, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if p.Offload.GSO == tun.GSOUDP {
		n = len(b)
	}
	srcPort, dstPort := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if n < headerLen || n > len(b) || srcPort == 0 || dstPort == 0 {
		return from, to, nil, false
	}
	b = b[:n]
	sum := binary.BigEndian.Uint16(b[6:])
	switch {
	case p.Offload.NeedsChecksum || p.Offload.GSO == tun.GSOUDP:
	case sum == 0:
		if p.Is6() {
			return from, to, nil, false
		}
	default:
		ip := tun.IP{Src: p.Src, Dst: p.Dst, Proto: unix.IPPROTO_UDP}
		if tun.Checksum(b, ip.Pseudo(len(b))) != 0 {
			return from, to, nil, false
		}
	}
	return netip.AddrPortFrom(p.Src, srcPort), netip.AddrPortFrom(p.Dst, dstPort), b[headerLen:], true
}

func appendHeader(b []byte, from, to uint16, length int, sum uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return binary.BigEndian.AppendUint16(b, sum)
}
