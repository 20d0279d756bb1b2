package tun

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Reason is why a packet cannot be delivered, for either family.
type Reason uint8

const (
	NetUnreachable  Reason = iota + 1 // ENETUNREACH for who sent it
	HostUnreachable                   // EHOSTUNREACH
	PortUnreachable                   // ECONNREFUSED
	Prohibited                        // EHOSTUNREACH; with IPv6 EACCES
	TooBig                            // EMSGSIZE, with the MTU
	Expired                           // the hop limit, on its way
)

// The types and codes of RFC 792, RFC 1812 (section 5.2.7.1) and RFC 4443.
var codes = map[Reason][2][2]byte{
	NetUnreachable:  {{3, 0}, {1, 0}},
	HostUnreachable: {{3, 1}, {1, 3}},
	PortUnreachable: {{3, 3}, {1, 4}},
	Prohibited:      {{3, 13}, {1, 1}},
	TooBig:          {{3, 4}, {2, 0}},
	Expired:         {{11, 0}, {3, 0}},
}

// ReasonFor says which answer makes the sender see the same as the host did. False:
// silence, for a timeout and for what says nothing of the destination.
func ReasonFor(err error) (Reason, bool) {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return PortUnreachable, true
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EAFNOSUPPORT):
		return NetUnreachable, true
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EHOSTDOWN), errors.Is(err, unix.EADDRNOTAVAIL):
		return HostUnreachable, true
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOPROTOOPT):
		return Prohibited, true
	case errors.Is(err, unix.EMSGSIZE):
		return TooBig, true
	}
	return 0, false
}

// AppendError appends the ICMP error about p that tells its sender the reason. It
// comes from the given address, or from p's destination where that is not valid; an
// address of N's own would be dropped as a martian. mtu goes with TooBig. Nothing is
// appended where an error must not be answered (RFC 1122, section 3.2.2; RFC 4443, section 2.4):
// to errors, to later fragments, and for multicast.
func AppendError(b []byte, p *Packet, reason Reason, from netip.Addr, mtu int) []byte {
	if !answerable(p) {
		return b
	}
	if from = from.Unmap(); !from.IsValid() || from.Is6() != p.Is6() {
		from = p.Dst
	}
	code := codes[reason][0]
	ip := IP{Src: from, Dst: p.Src, Proto: unix.IPPROTO_ICMP, TOS: 0xc0}
	quoted, pseudo := p.Bytes, uint32(0)
	limit := 576 - 20 - 8 // RFC 1812, section 4.3.2.3
	if p.Is6() {
		code = codes[reason][1]
		ip.Proto = unix.IPPROTO_ICMPV6
		limit = 1280 - 40 - 8
	}
	quoted = quoted[:min(len(quoted), limit)]
	if p.Is6() {
		pseudo = ip.Pseudo(8 + len(quoted))
	}
	b = ip.Append(b, 8+len(quoted))
	start := len(b)
	b = append(b, code[0], code[1], 0, 0)
	info := uint32(0)
	if reason == TooBig {
		info = uint32(min(mtu, 0xffff))
	}
	b = binary.BigEndian.AppendUint32(b, info)
	b = append(b, quoted...)
	binary.BigEndian.PutUint16(b[start+2:], Checksum(b[start:], pseudo))
	return b
}

func answerable(p *Packet) bool {
	if p.FragmentOffset != 0 || p.Dst.IsMulticast() || p.Src.IsUnspecified() || p.Src.IsMulticast() {
		return false
	}
	switch p.Proto {
	case unix.IPPROTO_ICMP:
		return len(p.Payload) > 0 && (p.Payload[0] == 8 || p.Payload[0] == 0)
	case unix.IPPROTO_ICMPV6:
		return len(p.Payload) > 0 && p.Payload[0]&0x80 != 0
	}
	return true
}
