package udp

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/flow"
	"github.com/skiff-containers/skiff/netns/helper/fragment"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// protocol is what flows need to know of UDP.
type protocol struct{ *Path }

func (protocol) Open(v6 bool) (int, error) {
	family, level, recvErr, recvTOS := unix.AF_INET, unix.SOL_IP, unix.IP_RECVERR, unix.IP_RECVTOS
	if v6 {
		family, level, recvErr, recvTOS = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_RECVERR, unix.IPV6_RECVTCLASS
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, level, recvErr, 1)
	if err == nil && v6 {
		err = unix.SetsockoptInt(fd, level, unix.IPV6_V6ONLY, 1)
	}
	if err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	// What follows is good to have.
	unix.SetsockoptInt(fd, level, recvTOS, 1)
	unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	return fd, nil
}

func (protocol) Idle(f *flow.Flow) time.Duration {
	switch {
	case !f.Replied():
		return idleUnreplied
	case f.OnlyDNS():
		return idleDNS
	}
	return idleReplied
}

// Deliver is called by one goroutine.
func (p protocol) Deliver(f *flow.Flow, d flow.Datagram) {
	if d.Segment > 0 && !p.bundle(f, d) {
		for data := d.Data; len(data) > 0; {
			n := min(d.Segment, len(data))
			one := d
			one.Data, one.Segment = data[:n], 0
			p.write(f, one, tun.Offload{})
			data = data[n:]
		}
		return
	}
	if d.Segment == 0 {
		p.write(f, d, tun.Offload{})
	}
}

// bundle writes several datagrams as one packet, which the kernel takes apart where it
// must. False: it has to be done here.
func (p protocol) bundle(f *flow.Flow, d flow.Datagram) bool {
	head := 20
	if f.Source.Addr().Is6() {
		head = 40
	}
	if p.ungroups.Load() || head+headerLen+len(d.Data) > 65535 || f.Source.Addr().Is6() && head+headerLen+d.Segment > p.mtu(f) {
		return false
	}
	err := p.write(f, d, tun.Offload{GSO: tun.GSOUDP, SegmentSize: uint16(d.Segment), HeaderLen: uint16(head + headerLen)})
	if errors.Is(err, unix.EINVAL) { // before Linux 6.2
		p.ungroups.Store(true)
		return false
	}
	return true
}

// write puts a datagram into N. Its checksum is left to the kernel, which needs none
// between here and a container.
func (p protocol) write(f *flow.Flow, d flow.Datagram, offload tun.Offload) error {
	n := headerLen + len(d.Data)
	ip := tun.IP{Src: d.From.Addr(), Dst: f.Source.Addr(), Proto: unix.IPPROTO_UDP, TOS: d.TOS, ID: uint16(p.ids.Add(1))}
	if ip.Src.Is6() && d.Segment == 0 && 40+n > p.mtu(f) {
		return p.fragment(f, d, ip)
	}
	b := ip.Append(p.head[:0], n)
	offload.NeedsChecksum, offload.ChecksumStart, offload.ChecksumOffset = true, uint16(len(b)), 6
	b = appendHeader(b, d.From.Port(), f.Source.Port(), n, tun.PartialChecksum(ip.Pseudo(n)))
	return p.cfg.Device.WriteParts(offload, b, d.Data)
}

func (p protocol) fragment(f *flow.Flow, d flow.Datagram, ip tun.IP) error {
	n := headerLen + len(d.Data)
	whole := append(appendHeader(make([]byte, 0, n), d.From.Port(), f.Source.Port(), n, 0), d.Data...)
	sum := tun.Checksum(whole, ip.Pseudo(n))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(whole[6:], sum)
	return fragment.Split(ip, p.ids.Add(1), whole, p.mtu(f), func(head, part []byte) error {
		return p.cfg.Device.WriteParts(tun.Offload{}, head, part)
	})
}

func (p *Path) mtu(f *flow.Flow) int {
	m, e := p.cfg.Directory.Of(f.Source.Addr())
	if m == nil || p.cfg.MTU == nil || m.Networks[e.Network] == nil {
		return 1500
	}
	return p.cfg.MTU(m.Networks[e.Network])
}

// Fail answers a datagram of some time ago, as far as it is remembered: the container's
// kernel finds the socket by the ports.
func (p protocol) Fail(f *flow.Flow, e flow.Failure) {
	n := headerLen + len(e.Quoted)
	ip := tun.IP{Src: f.Source.Addr(), Dst: e.To.Addr(), Proto: unix.IPPROTO_UDP, DontFragment: e.Reason == tun.TooBig}
	b := ip.Append(make([]byte, 0, 48+len(e.Quoted)), n)
	b = appendHeader(b, f.Source.Port(), e.To.Port(), n, 0)
	packet, err := tun.Parse(append(b, e.Quoted...))
	if err != nil {
		return
	}
	if b := tun.AppendError(nil, &packet, e.Reason, e.From, e.MTU); b != nil {
		p.cfg.Device.Write(b)
	}
}
