package firewall

import (
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ICMP unreachable, codes that nftables translates for IPv4 and IPv6.
const (
	portUnreachable = unix.NFT_REJECT_ICMPX_PORT_UNREACH
	prohibited      = unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED
)

// inetTable puts together what routed packets pass, and those for N itself.
func (f *Firewall) inetTable(fresh, sockets bool) {
	f.inet = f.startTable(nftables.TableFamilyINet, fresh)
	f.inetSets()
	f.prerouting(sockets)
	f.input(sockets)
	f.forward()
	if sockets {
		f.output()
	}
}

// prerouting is the kernel path. Only a pure SYN from the TUN is given to the
// listener: were others, the helper's own reset would be swallowed. A SYN from a
// container's side never looks for a socket: it would find one in TIME_WAIT.
func (f *Firewall) prerouting(sockets bool) {
	c := f.startChain(f.inet, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityMangle, nftables.ChainPolicyAccept)
	if f.config.TProxyPort != 0 {
		f.add(c, from(f.config.TUN), opens(), divert(f.config.TProxyPort), mark(f.config.Mark), accept())
	}
	if sockets {
		f.add(c, goesOn(), transparent(), mark(f.config.Mark), accept())
		f.add(c, protocol(unix.IPPROTO_UDP), transparent(), mark(f.config.Mark), accept())
	}
}

// input guards N. Of TCP, what does not open a connection may come to any address: it
// belongs to a connection that N made, or is answered by a reset. The transparent
// listener is reached by what prerouting gave it, and by nothing else.
func (f *Firewall) input(sockets bool) {
	c := f.startChain(f.inet, "input", nftables.ChainHookInput, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	f.add(c, marked(f.config.Mark), accept())
	f.add(c, from("lo"), accept())
	if f.config.Carrier != "" {
		f.add(c, from(f.config.Carrier), protocol(unix.IPPROTO_UDP), accept())
	}
	f.add(c, goesOn(), accept())
	if sockets {
		f.add(c, protocol(unix.IPPROTO_UDP), bound(), accept())
	}
	for _, gateway := range []match{f.toGateway4(), f.toGateway6()} {
		f.add(c, protocol(unix.IPPROTO_UDP), destination(53), gateway, accept())
		f.add(c, protocol(unix.IPPROTO_TCP), destination(53), gateway, accept())
		if !sockets {
			f.add(c, protocol(unix.IPPROTO_UDP), ephemeral(), gateway, accept())
		}
	}
	for _, kind := range []byte{icmpEcho, icmpUnreachable} {
		f.add(c, icmpType(unix.IPPROTO_ICMP, kind), f.toGateway4(), accept())
	}
	for _, kind := range []byte{icmp6Echo, icmp6Unreachable, icmp6TooBig} {
		f.add(c, icmpType(unix.IPPROTO_ICMPV6, kind), f.toGateway6(), accept())
	}
	// Neighbours ask at multicast addresses, too.
	for _, kind := range []byte{icmp6NeighborAsk, icmp6NeighborAdvert} {
		f.add(c, icmpType(unix.IPPROTO_ICMPV6, kind), accept())
	}
	for _, gateway := range []match{f.toGateway4(), f.toGateway6()} {
		f.add(c, protocol(unix.IPPROTO_TCP), gateway, reset())
		f.add(c, protocol(unix.IPPROTO_UDP), gateway, refuse(portUnreachable))
	}
}

// forward lets networks out that are not internal, and answers in. Packets from one
// bridge back to it were sent to the gateway's MAC address though they are for a neighbour.
func (f *Firewall) forward() {
	c := f.startChain(f.inet, "forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	f.add(c, fromIn(f.sets.outbound), to(f.config.TUN), accept())
	f.add(c, from(f.config.TUN), toIn(f.sets.outbound), accept())
	f.add(c, fromToIn(f.sets.within), accept())
	f.add(c, fromIn(f.sets.open), toIn(f.sets.open), accept())
	f.add(c, fromIn(f.sets.bridges), refuse(prohibited))
}

// output holds back the resets by which N's kernel says that a segment has no socket. It is
// mistaken where one comes on one processor just while another puts a connection into the
// place of its handshake, before Linux 6.19 ("inet: Avoid ehash lookup race in
// inet_ehash_insert()"): the segment is sent again then. Where there is none indeed, the
// next one goes by the TUN to the helper, which answers. A socket's own resets acknowledge something;
// those of the name server are of N itself.
func (f *Firewall) output() {
	c := f.startChain(f.inet, "output", nftables.ChainHookOutput, nftables.ChainPriorityFilter, nftables.ChainPolicyAccept)
	f.add(c, onlyResets(), otherSource(53), drop())
}
