package tun

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"
)

// IP is the header of a packet to be made, without options. Src and Dst are of one family.
type IP struct {
	Src, Dst     netip.Addr
	Proto        uint8
	TTL          uint8 // 0: 64
	TOS          uint8
	ID           uint16 // of IPv4, where it may be fragmented
	DontFragment bool   // of IPv4
}

// Append appends the header of a packet with so many octets of payload.
func (ip *IP) Append(b []byte, payload int) []byte {
	ttl := ip.TTL
	if ttl == 0 {
		ttl = 64
	}
	if ip.Src.Is6() {
		b = append(b, 0x60|ip.TOS>>4, ip.TOS<<4, 0, 0, byte(payload>>8), byte(payload), ip.Proto, ttl)
		src, dst := ip.Src.As16(), ip.Dst.As16()
		return append(append(b, src[:]...), dst[:]...)
	}
	start, total := len(b), 20+payload
	flags := byte(0)
	if ip.DontFragment {
		flags = 0x40
	}
	b = append(b, 0x45, ip.TOS, byte(total>>8), byte(total), byte(ip.ID>>8), byte(ip.ID), flags, 0, ttl, ip.Proto, 0, 0)
	src, dst := ip.Src.As4(), ip.Dst.As4()
	b = append(append(b, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(b[start+10:], Checksum(b[start:], 0))
	return b
}

// Pseudo is the sum over the pseudo header of a transport's payload octets (RFC 9293,
// section 3.1; RFC 8200, section 8.1), to go on with in [Checksum].
func (ip *IP) Pseudo(payload int) uint32 {
	sum := uint32(ip.Proto) + uint32(payload>>16) + uint32(payload&0xffff)
	if ip.Src.Is6() {
		src, dst := ip.Src.As16(), ip.Dst.As16()
		return sum + uint32(add(src[:], 0)) + uint32(add(dst[:], 0))
	}
	src, dst := ip.Src.As4(), ip.Dst.As4()
	return sum + uint32(add(src[:], 0)) + uint32(add(dst[:], 0))
}

// PartialChecksum is what a packet with Offload.NeedsChecksum carries as its checksum,
// from [IP.Pseudo].
func PartialChecksum(pseudo uint32) uint16 { return fold(uint64(pseudo)) }

// Checksum is the internet checksum (RFC 1071) of b with a sum begun elsewhere. For UDP a
// result of 0 has to be sent as 0xffff.
func Checksum(b []byte, sum uint32) uint16 { return ^add(b, sum) }

// add sums eight octets at a time: the carries that leave at the top come in at the
// bottom, as one's complement arithmetic wants it.
func add(b []byte, start uint32) uint16 {
	sum, carry := uint64(start), uint64(0)
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var rest [8]byte
	copy(rest[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(rest[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return fold(sum + carry)
}

func fold(sum uint64) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// Answer is the header of a packet back to where p came from.
func (p *Packet) Answer(proto uint8) IP {
	return IP{Src: p.Dst, Dst: p.Src, Proto: proto, DontFragment: true}
}

// TCP is a TCP header (RFC 9293, section 3.1), without its options.
type TCP struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8 // FIN, SYN …
	HeaderLen        int   // with options
}

// Flags of TCP.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// ParseTCP reads the header at the begin of a packet's payload. False: there is none.
func ParseTCP(payload []byte) (TCP, bool) {
	if len(payload) < 20 {
		return TCP{}, false
	}
	t := TCP{
		SrcPort: binary.BigEndian.Uint16(payload), DstPort: binary.BigEndian.Uint16(payload[2:]),
		Seq: binary.BigEndian.Uint32(payload[4:]), Ack: binary.BigEndian.Uint32(payload[8:]),
		Flags: payload[13], HeaderLen: int(payload[12]>>4) * 4,
	}
	return t, t.HeaderLen >= 20 && t.HeaderLen <= len(payload)
}

// AppendReset appends the reset that refuses the segment p with the header t (RFC
// 9293, section 3.10.7.1), or nothing, where p is a reset itself.
func AppendReset(b []byte, p *Packet, t TCP) []byte {
	if t.Flags&RST != 0 {
		return b
	}
	var seq, ack uint32
	flags := byte(RST)
	if t.Flags&ACK != 0 {
		seq = t.Ack
	} else {
		flags |= ACK
		ack = t.Seq + uint32(len(p.Payload)-t.HeaderLen)
		if t.Flags&SYN != 0 {
			ack++
		}
		if t.Flags&FIN != 0 {
			ack++
		}
	}
	ip := p.Answer(unix.IPPROTO_TCP)
	b = ip.Append(b, 20)
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, t.DstPort)
	b = binary.BigEndian.AppendUint16(b, t.SrcPort)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 0x50, flags, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[start+16:], Checksum(b[start:], ip.Pseudo(20)))
	return b
}
