package tun

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet is an IP packet that has been looked at. Its slices are of one array.
type Packet struct {
	Bytes   []byte     // the whole packet, as long as its header says
	Header  []byte     // IP header with options or extension headers
	Payload []byte     // what follows
	Src     netip.Addr // IPv4 addresses are never IPv4-mapped
	Dst     netip.Addr
	Proto   uint8 // what Payload is: unix.IPPROTO_TCP …
	TTL     uint8 // or hop limit
	TOS     uint8 // or traffic class

	DontFragment   bool   // always true of IPv6
	Fragment       bool   // Payload is part of a datagram
	FragmentOffset int    // in octets; 0: the part with the transport's header
	MoreFragments  bool   // not the last part
	FragmentID     uint32 // what the parts have in common

	Offload Offload
}

// maxExtensions is how many IPv6 extension headers a packet may have.
const maxExtensions = 8

// errMalformed: not an IP packet, or one that nothing sends but to do harm.
var errMalformed = errors.New("malformed packet")

// Parse looks at an IP packet, of which it keeps slices. Checksums are not verified: the
// kernel has done that to the header, and the transport's is the container's own concern.
func Parse(b []byte) (Packet, error) {
	var p Packet
	err := p.parse(b)
	return p, err
}

// Is6 tells the packet's family.
func (p *Packet) Is6() bool { return p.Bytes[0]>>4 == 6 }

func (p *Packet) parse(b []byte) error {
	*p = Packet{}
	if len(b) == 0 {
		return errMalformed
	}
	switch b[0] >> 4 {
	case 4:
		return p.parse4(b)
	case 6:
		return p.parse6(b)
	}
	return errMalformed
}

// parse4 follows RFC 791, section 3.1.
func (p *Packet) parse4(b []byte) error {
	if len(b) < 20 {
		return errMalformed
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return errMalformed
	}
	p.Bytes, p.Header, p.Payload = b[:total:total], b[:header:header], b[header:total:total]
	p.TOS, p.TTL, p.Proto = b[1], b[8], b[9]
	p.FragmentID = uint32(binary.BigEndian.Uint16(b[4:]))
	flags := binary.BigEndian.Uint16(b[6:])
	p.DontFragment, p.MoreFragments = flags&0x4000 != 0, flags&0x2000 != 0
	p.FragmentOffset = int(flags&0x1fff) * 8
	p.Fragment = p.MoreFragments || p.FragmentOffset != 0
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return nil
}

// parse6 follows RFC 8200, sections 3 and 4.
func (p *Packet) parse6(b []byte) error {
	if len(b) < 40 {
		return errMalformed
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return errMalformed
	}
	b = b[:total:total]
	p.Bytes, p.DontFragment = b, true
	p.TOS, p.TTL = b[0]<<4|b[1]>>4, b[7]
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, at := b[6], 40
	for range maxExtensions {
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if len(b) < at+8 || len(b) < at+8+int(b[at+1])*8 {
				return errMalformed
			}
			next, at = b[at], at+8+int(b[at+1])*8
		case unix.IPPROTO_FRAGMENT:
			if len(b) < at+8 || p.Fragment {
				return errMalformed
			}
			offset := binary.BigEndian.Uint16(b[at+2:])
			p.FragmentOffset, p.MoreFragments = int(offset&^7), offset&1 != 0
			p.Fragment = p.FragmentOffset != 0 || p.MoreFragments // else "atomic", RFC 6946
			p.FragmentID = binary.BigEndian.Uint32(b[at+4:])
			next, at = b[at], at+8
			if p.FragmentOffset != 0 {
				p.Proto, p.Header, p.Payload = next, b[:at:at], b[at:]
				return nil
			}
		default:
			p.Proto, p.Header, p.Payload = next, b[:at:at], b[at:]
			return nil
		}
	}
	return errMalformed
}
