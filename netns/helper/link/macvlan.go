package link

import (
	"fmt"
	"net"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A macvlan network lies on the wire of its parent, a network with a bridge: its
// addresses are others, its frames pass the same bridge, and N has its gateway's
// addresses there too. Each container's macvlan interface is on a veth pair of its own:
//
//	eth0 ── sm… ═ sv… ─ sk… (the parent's)
//
// so that the firewall can check at the port what the container sends. On one
// interface for all, members could take each other's addresses.

// EnsureMacvlan makes N's addresses in a macvlan network, and returns the name of the
// parent's bridge, which [Links.EnsureNetwork] has made.
func (l *Links) EnsureMacvlan(n, parent *store.Network) (string, error) {
	bridge := Bridge(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wires[n.ID] != 0 {
		return bridge, nil
	}
	i := l.wires[parent.ID]
	if i == 0 {
		return "", fmt.Errorf("making network %q: its parent %q has no bridge yet", n.Name, parent.Name)
	}
	var requests []*request
	for _, gateway := range addresses(n) {
		requests = append(requests, addAddress(i, gateway, fmt.Sprintf("making network %q", n.Name)))
	}
	if err := l.conn.do(requests...); err != nil {
		return "", err
	}
	l.wires[n.ID], l.macvlans[n.ID] = i, MTU(parent)
	return bridge, nil
}

// leaveParent takes N's addresses in a macvlan network away.
func (l *Links) leaveParent(n *store.Network) error {
	i := l.wires[n.ID]
	if i == 0 {
		return nil
	}
	delete(l.wires, n.ID)
	delete(l.macvlans, n.ID)
	var requests []*request
	for _, gateway := range addresses(n) {
		r := addAddress(i, gateway, fmt.Sprintf("forgetting network %q", n.Name))
		r.kind, r.flags, r.fine = unix.RTM_DELADDR, 0, []unix.Errno{unix.EADDRNOTAVAIL, unix.ENODEV}
		requests = append(requests, r)
	}
	return l.conn.do(requests...)
}

// carrier is the name of what an endpoint's macvlan interface lies on.
func carrier(e *store.Endpoint) string { return name(prefixCarrier, e.ID) }

// macvlan makes the endpoint's pair, where there is none, and the container's interface on it.
func macvlan(l *Links, container *space.Space, e *store.Endpoint, n *store.Network, mac net.HardwareAddr, bridge int) error {
	what := fmt.Sprintf("attaching to network %q", e.Network)
	l.mu.Lock()
	mtu := min(MTU(n), l.macvlans[n.ID])
	l.mu.Unlock()
	veth := linkInfo("veth", func(data *nl.RtAttr) {
		peer := data.AddRtAttr(nl.VETH_INFO_PEER, nil)
		// N itself does not talk on it: it would answer for its gateways there.
		flags := nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
		flags.Flags, flags.Change = unix.IFF_NOARP, unix.IFF_NOARP
		peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(carrier(e)))
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	})
	add := onLink(unix.RTM_NEWLINK, create, unix.IFF_UP, unix.IFF_UP, what,
		ifname(Port(e)), number(unix.IFLA_MTU, mtu), number(unix.IFLA_MASTER, bridge), veth)
	add.fine = []unix.Errno{unix.EEXIST}
	var reply []byte
	if err := l.conn.do(add, changeLink(carrier(e), what), getLink(carrier(e), &reply)); err != nil {
		return err
	}
	below, err := index(reply)
	if err != nil {
		return err
	}
	const modeBridge = 4 // MACVLAN_MODE_BRIDGE
	kind := linkInfo("macvlan", func(data *nl.RtAttr) { data.AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(modeBridge)) })
	return l.conn.do(onLink(unix.RTM_NEWLINK, create, 0, 0, what, ifname(e.Interface), hardware(mac), number(unix.IFLA_MTU, mtu),
		number(unix.IFLA_LINK, below), number(unix.IFLA_NET_NS_FD, int(container.File().Fd())), kind))
}
