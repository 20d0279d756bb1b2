package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// match is a part of a rule: expressions that break off where a packet does not
// match, or that end with a verdict.
type match []expr.Any

// Registers of 4 bytes, in which the parts of a set's key are put side by side.
const (
	regKey  = unix.NFT_REG32_00 // an interface's name, 16 bytes
	regKey2 = unix.NFT_REG32_04 // what follows it
	regKey3 = unix.NFT_REG32_06 // what follows a MAC address, 6 bytes and 2 of padding
)

// tcpFlags are those that tell a connection's first packet from all others.
const (
	tcpFlags = 0x01 | 0x02 | 0x04 | 0x10 // FIN, SYN, RST, ACK
	tcpSYN   = 0x02
	tcpRST   = 0x04
)

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861).
const (
	icmpUnreachable       = 3
	icmpSourceQuench      = 4
	icmpRedirect          = 5
	icmpEcho              = 8
	icmpTimeExceeded      = 11
	icmpParameterProblem  = 12
	icmp6Unreachable      = 1
	icmp6TooBig           = 2
	icmp6TimeExceeded     = 3
	icmp6ParameterProblem = 4
	icmp6Echo             = 128
	icmp6RouterAdvert     = 134
	icmp6NeighborAsk      = 135
	icmp6NeighborAdvert   = 136
	icmp6Redirect         = 137
)

func equal(reg uint32, data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
}

func differ(reg uint32, data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: data}
}

func network(offset, length, reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func transport(offset, length, reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func frame(offset, length, reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}
}

func paddedName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// from: the packet came in by this interface.
func from(name string) match {
	return match{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, equal(1, paddedName(name)...)}
}

// to: it goes out by this interface.
func to(name string) match {
	return match{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, equal(1, paddedName(name)...)}
}

// fromIn: it came in by an interface of the set.
func fromIn(s *nftables.Set) match {
	return match{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, in(s, 1)}
}

// toIn: it goes out by an interface of the set.
func toIn(s *nftables.Set) match {
	return match{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, in(s, 1)}
}

func in(s *nftables.Set, reg uint32) expr.Any {
	return &expr.Lookup{SourceRegister: reg, SetName: s.Name, SetID: s.ID}
}

// protocol: what the IP packet carries, extension headers skipped.
func protocol(number byte) match {
	return match{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(1, number)}
}

// family: NFPROTO_IPV4 or NFPROTO_IPV6, in a table of both.
func family(number byte) match {
	return match{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equal(1, number)}
}

// etherType of the frame as it is on the wire: a VLAN's tag is its type.
func etherType(high, low byte) match { return match{frame(12, 2, 1), equal(1, high, low)} }

// opens: a TCP packet that begins a connection, and does nothing else.
func opens() match { return append(flags(), equal(1, tcpSYN)) }

// goesOn: any other TCP packet.
func goesOn() match { return append(flags(), differ(1, tcpSYN)) }

// onlyResets: a TCP packet that ends a connection, and acknowledges nothing.
func onlyResets() match { return append(flags(), equal(1, tcpRST)) }

// flags loads those of a TCP packet that matter into register 1.
func flags() match {
	return append(protocol(unix.IPPROTO_TCP), transport(13, 1, 1),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{tcpFlags}, Xor: []byte{0}})
}

// destination: the port of a TCP or UDP packet.
func destination(port uint16) match {
	return match{transport(2, 2, 1), equal(1, binaryutil.BigEndian.PutUint16(port)...)}
}

// otherSource: a TCP packet from any other port.
func otherSource(port uint16) match {
	return match{transport(0, 2, 1), differ(1, binaryutil.BigEndian.PutUint16(port)...)}
}

// ephemeral: a port of the range that the kernel takes by default for sockets of its choice.
func ephemeral() match {
	return match{transport(2, 2, 1), &expr.Range{Op: expr.CmpOpEq, Register: 1,
		FromData: binaryutil.BigEndian.PutUint16(32768), ToData: binaryutil.BigEndian.PutUint16(60999)}}
}

// icmpType: of an ICMP or ICMPv6 message.
func icmpType(protocolNumber, kind byte) match {
	return append(protocol(protocolNumber), transport(0, 1, 1), equal(1, kind))
}

// transparent: the packet is for a socket that may have addresses of others.
func transparent() match {
	return match{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}, equal(1, 1)}
}

// bound: the packet is for a socket that is bound to an address, not to all.
func bound() match {
	return match{&expr.Socket{Key: expr.SocketKeyWildcard, Register: 1}, equal(1, 0)}
}

// marked: the packet has this mark.
func marked(mark uint32) match {
	return match{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, equal(1, binaryutil.NativeEndian.PutUint32(mark)...)}
}

// mark puts a mark on the packet.
func mark(mark uint32) match {
	return match{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}

// divert assigns the packet to the transparent listener at a port, of IPv4 or IPv6.
func divert(port uint16) match {
	return match{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.TProxy{Family: unix.NFPROTO_UNSPEC, TableFamily: unix.NFPROTO_INET, RegPort: 1},
	}
}

func accept() match { return match{&expr.Verdict{Kind: expr.VerdictAccept}} }

// jump: the rules of another chain, then on behind this rule.
func jump(chain string) match { return match{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

func drop() match { return match{&expr.Verdict{Kind: expr.VerdictDrop}} }

// reset answers a TCP packet with a reset.
func reset() match { return match{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}} }

// refuse answers with ICMP unreachable of IPv4 or IPv6.
func refuse(code byte) match {
	return match{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: code}}
}
