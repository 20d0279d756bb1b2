package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Where fields are: frames (IEEE 802.3), ARP (RFC 826), IPv4 and IPv6.
const (
	frameSource     = 6
	ipv4Source      = 12
	ipv4Destination = 16
	ipv6Source      = 8
	arpHardware     = 8
	arpSender       = 14
	adverTarget     = 8      // in a neighbour advertisement, RFC 4861 section 4.4
	quoted4         = 8 + 16 // the destination of the packet that an ICMP error quotes
	quoted6         = 8 + 24
	ethernetKinds   = "\x00\x01\x08\x00\x06\x04"
)

// bridgeTable puts together what each frame passes that a container sends, before the
// bridge looks at it and learns its source. A container with CAP_NET_RAW can write
// any frame; none gets further that claims to be another's. Frames of other
// protocols, and those with a VLAN's tag, end here as well.
func (f *Firewall) bridgeTable(fresh bool) {
	f.bridge = f.startTable(nftables.TableFamilyBridge, fresh)
	f.bridgeSets()
	s := &f.sets
	c := f.startChain(f.bridge, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRef(-300), nftables.ChainPolicyDrop)
	ipv4, ipv6, arp := etherType(0x08, 0x00), etherType(0x86, 0xdd), etherType(0x08, 0x06)

	// Namespaces begin with the host's route_localnet: where it is on, as Kubernetes wants
	// it, a neighbour's services at its loopback address would be reached from here.
	f.add(c, ipv4, match{network(ipv4Destination, 1, 1), equal(1, 127)}, drop())
	f.errorChain("errors4", sender(network(ipv4Source, 4, regKey3)), s.sources4, transport(quoted4, 4, regKey3),
		unix.IPPROTO_ICMP, icmpUnreachable, icmpSourceQuench, icmpRedirect, icmpTimeExceeded, icmpParameterProblem)
	f.errorChain("errors6", sender(network(ipv6Source, 16, regKey3)), s.sources6, transport(quoted6, 16, regKey3),
		unix.IPPROTO_ICMPV6, icmp6Unreachable, icmp6TooBig, icmp6TimeExceeded, icmp6ParameterProblem)
	f.add(c, ipv4, protocol(unix.IPPROTO_ICMP), jump("errors4"))
	f.add(c, ipv6, protocol(unix.IPPROTO_ICMPV6), jump("errors6"))

	f.add(c, ipv4, sender(network(ipv4Source, 4, regKey3)), match{in(s.sources4, regKey)}, accept())
	f.add(c, arp, match{network(0, uint32(len(ethernetKinds)), 1), equal(1, []byte(ethernetKinds)...)},
		sender(network(arpSender, 4, regKey3)), match{in(s.sources4, regKey), network(arpHardware, 6, regKey2), in(s.sources4, regKey)}, accept())
	// An advertisement speaks for the address in it, whatever its source is. Routers
	// and redirects are N's to announce.
	f.add(c, fromIn(s.trunks), accept())
	for _, kind := range []byte{icmp6RouterAdvert, icmp6Redirect} {
		f.add(c, ipv6, icmpType(unix.IPPROTO_ICMPV6, kind), drop())
	}
	advert := icmpType(unix.IPPROTO_ICMPV6, icmp6NeighborAdvert)
	f.add(c, ipv6, advert, sender(network(ipv6Source, 16, regKey3)), match{in(s.sources6, regKey), transport(adverTarget, 16, regKey3), in(s.sources6, regKey)}, accept())
	f.add(c, ipv6, advert, drop())
	f.add(c, ipv6, sender(network(ipv6Source, 16, regKey3)), match{in(s.sources6, regKey)}, accept())

	// Frames to 01:80:c2:00:00:0x (spanning tree and the like) do not pass the chain
	// above, yet the bridge learns their source.
	c = f.startChain(f.bridge, "input", nftables.ChainHookInput, nftables.ChainPriorityRef(-300), nftables.ChainPolicyAccept)
	f.add(c, match{
		frame(0, 6, 1),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 6, Mask: []byte{255, 255, 255, 255, 255, 0xf0}, Xor: make([]byte, 6)},
		equal(1, 0x01, 0x80, 0xc2, 0, 0, 0),
	}, drop())
}

// errorChain makes a chain that lets errors pass only where they are about packets to who sends
// them. Other ones would have the receiver, N or a neighbour, believe that a connection
// with somebody else is broken or must make do with small packets: kernels look at little more
// than the addresses in them.
func (f *Firewall) errorChain(name string, from match, sources *nftables.Set, quoted expr.Any, protocolNumber byte, kinds ...byte) {
	c := f.conn.AddChain(&nftables.Chain{Name: name, Table: f.bridge})
	f.conn.FlushChain(c)
	f.add(c, fromIn(f.sets.trunks), accept())
	for _, kind := range kinds {
		f.add(c, icmpType(protocolNumber, kind), from, match{in(sources, regKey), quoted, in(sources, regKey)}, accept())
		f.add(c, icmpType(protocolNumber, kind), drop())
	}
}

// sender puts together the key of a source: port, MAC address and what load loads
// into regKey3.
func sender(load expr.Any) match {
	return match{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: regKey}, frame(frameSource, 6, regKey2), load}
}
