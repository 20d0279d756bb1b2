package overlay

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	ipHeader  = 20
	udpHeader = 8
	headers   = ipHeader + udpHeader
	maxPacket = 65535
)

// datagram is a UDP datagram in an IPv4 packet.
type datagram struct {
	to      netip.Addr
	port    uint16
	payload []byte
}

var errMalformed = errors.New("malformed packet")

// parseDatagram reads a packet of N's own making: whole, without options.
func parseDatagram(b []byte) (datagram, error) {
	if len(b) < headers || b[0] != 0x45 || b[9] != unix.IPPROTO_UDP {
		return datagram{}, errMalformed
	}
	total, fragment := int(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint16(b[6:])&0x3fff
	length := int(binary.BigEndian.Uint16(b[ipHeader+4:]))
	if total > len(b) || length < udpHeader || ipHeader+length > total || fragment != 0 {
		return datagram{}, errMalformed
	}
	return datagram{
		to:      netip.AddrFrom4([4]byte(b[16:20])),
		port:    binary.BigEndian.Uint16(b[ipHeader+2:]),
		payload: b[headers : ipHeader+length],
	}, nil
}

// wrap writes the headers into a packet whose payload is in place: from a peer to the
// vxlan devices of N. The UDP checksum is left out, as RFC 7348 recommends.
func wrap(b []byte, from netip.Addr, port uint16) {
	clear(b[:headers])
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	source, local := from.As4(), Local.As4()
	copy(b[12:], source[:])
	copy(b[16:], local[:])
	var sum uint32
	for i := 0; i < ipHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(b[ipHeader:], port)
	binary.BigEndian.PutUint16(b[ipHeader+2:], port)
	binary.BigEndian.PutUint16(b[ipHeader+4:], uint16(len(b)-ipHeader))
}
