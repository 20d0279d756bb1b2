// Package icmp carries ICMP echo between containers and the host's network, by ping
// sockets (icmp(7)), for which nobody needs privileges where the host's administrator
// lets the user's group have them.
package icmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/flow"
	"github.com/skiff-containers/skiff/netns/helper/fragment"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/userns"
)

const (
	headerLen = 8 // of an echo: RFC 792, RFC 4443

	echo4, reply4 = 8, 0
	echo6, reply6 = 128, 129

	// perContainer and total bound the flows: an identifier of a container's each.
	perContainer = 128
	total        = 1024

	idle = 30 * time.Second
)

// Config is what a Path needs.
type Config struct {
	Device    *tun.Device
	Directory *member.Directory
}

// Path is the way out for ICMP echo.
type Path struct {
	cfg   Config
	flows *flow.Table
	parts fragment.Reassembler // of Handle
}

// Start makes a Path. Its sockets are in the process's own network namespace.
func Start(cfg Config) (*Path, error) {
	p := &Path{cfg: cfg}
	var err error
	p.flows, err = flow.Start(flow.Config{Directory: cfg.Directory, Protocol: protocol{p}, PerContainer: perContainer, Total: total})
	if err != nil {
		return nil, fmt.Errorf("starting the way out for ICMP: %w", err)
	}
	return p, nil
}

// Probe tells why containers cannot ping the world, or nil. Echoes are then answered as
// prohibited by the administrator, which they are.
func Probe() error {
	fd, err := protocol{}.Open(false)
	if err == nil {
		unix.Close(fd)
		return nil
	}
	if errors.Is(err, unix.EACCES) {
		return &userns.HostError{What: "pinging the world from containers", Err: err,
			Hint: `sudo sysctl -w net.ipv4.ping_group_range="0 2147483647"`}
	}
	return fmt.Errorf("pinging the world from containers: %w", err)
}

// Forget closes what a container has open.
func (p *Path) Forget(container string) { p.flows.Forget(container) }

// Close ends all flows.
func (p *Path) Close() { p.flows.Close() }

// Handle takes a packet from the device. It is for one goroutine. Whatever is no echo
// request is dropped: errors that containers send concern flows that have ended.
func (p *Path) Handle(packet *tun.Packet) {
	packet = p.parts.Add(packet)
	if packet == nil || !isEcho(packet) {
		return
	}
	id := binary.BigEndian.Uint16(packet.Payload[4:])
	f, err := p.flows.Get(netip.AddrPortFrom(packet.Src, id))
	if err == nil {
		how := flow.How{DontFragment: packet.DontFragment, TTL: packet.TTL, TOS: packet.TOS}
		err = f.Send(netip.AddrPortFrom(packet.Dst, 0), packet.Payload, how, 0)
	}
	if err != nil {
		p.refuse(packet, err)
	}
}

func (p *Path) refuse(packet *tun.Packet, err error) {
	if errors.Is(err, member.ErrProhibited) {
		err = unix.EACCES
	}
	reason, ok := tun.ReasonFor(err)
	if !ok {
		return
	}
	mtu := 0
	if tooBig, ok := errors.AsType[*flow.TooBigError](err); ok {
		mtu = tooBig.MTU
	}
	if b := tun.AppendError(nil, packet, reason, netip.Addr{}, mtu); b != nil {
		p.cfg.Device.Write(b)
	}
}

// isEcho tells an echo request whose checksum is right.
func isEcho(p *tun.Packet) bool {
	b := p.Payload
	if len(b) < headerLen || b[1] != 0 {
		return false
	}
	pseudo := uint32(0)
	switch {
	case !p.Is6() && p.Proto == unix.IPPROTO_ICMP && b[0] == echo4:
	case p.Is6() && p.Proto == unix.IPPROTO_ICMPV6 && b[0] == echo6:
		ip := tun.IP{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
		pseudo = ip.Pseudo(len(b))
	default:
		return false
	}
	return p.Offload.NeedsChecksum || tun.Checksum(b, pseudo) == 0
}

// protocol is what flows need to know of ICMP echo. A flow's port is the identifier.
type protocol struct{ *Path }

func (protocol) Open(v6 bool) (int, error) {
	family, proto, level, recvErr := unix.AF_INET, unix.IPPROTO_ICMP, unix.SOL_IP, unix.IP_RECVERR
	if v6 {
		family, proto, level, recvErr = unix.AF_INET6, unix.IPPROTO_ICMPV6, unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.SetsockoptInt(fd, level, recvErr, 1); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	return fd, nil
}

func (protocol) Idle(*flow.Flow) time.Duration { return idle }

// Deliver gives a reply the container's identifier.
func (p protocol) Deliver(f *flow.Flow, d flow.Datagram) {
	v6 := f.Source.Addr().Is6()
	want, proto := byte(reply4), uint8(unix.IPPROTO_ICMP)
	if v6 {
		want, proto = reply6, unix.IPPROTO_ICMPV6
	}
	if len(d.Data) < headerLen || d.Data[0] != want {
		return
	}
	ip := tun.IP{Src: d.From.Addr(), Dst: f.Source.Addr(), Proto: proto}
	seal(&ip, d.Data, f.Source.Port())
	if v6 && 40+len(d.Data) > minMTU6 {
		fragment.Split(ip, uint32(binary.BigEndian.Uint16(d.Data[6:])), d.Data, minMTU6, func(head, part []byte) error {
			return p.cfg.Device.WriteParts(tun.Offload{}, head, part)
		})
		return
	}
	ip.ID = binary.BigEndian.Uint16(d.Data[6:])
	p.cfg.Device.WriteParts(tun.Offload{}, ip.Append(nil, len(d.Data)), d.Data)
}

// minMTU6 is what every IPv6 network takes (RFC 8200, section 5): big echoes are rare.
const minMTU6 = 1280

// seal gives an echo an identifier and its checksum.
func seal(ip *tun.IP, echo []byte, id uint16) {
	pseudo := uint32(0)
	if ip.Src.Is6() {
		pseudo = ip.Pseudo(len(echo))
	}
	binary.BigEndian.PutUint16(echo[4:], id)
	binary.BigEndian.PutUint16(echo[2:], 0)
	binary.BigEndian.PutUint16(echo[2:], tun.Checksum(echo, pseudo))
}

// Fail answers an echo of some time ago.
func (p protocol) Fail(f *flow.Flow, e flow.Failure) {
	if len(e.Quoted) < headerLen {
		return
	}
	ip := tun.IP{Src: f.Source.Addr(), Dst: e.To.Addr(), Proto: unix.IPPROTO_ICMP, DontFragment: e.Reason == tun.TooBig}
	if ip.Src.Is6() {
		ip.Proto = unix.IPPROTO_ICMPV6
	}
	seal(&ip, e.Quoted, f.Source.Port())
	packet, err := tun.Parse(append(ip.Append(nil, len(e.Quoted)), e.Quoted...))
	if err != nil {
		return
	}
	if b := tun.AppendError(nil, &packet, e.Reason, e.From, e.MTU); b != nil {
		p.cfg.Device.Write(b)
	}
}
