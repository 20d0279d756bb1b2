package link

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// DefaultMTU is that of networks which were not told another: what passes through no
// card may be as large as IP packets can be, rounded down to what the stack likes.
const DefaultMTU = 65520

// MTU of a network: the option "com.docker.network.driver.mtu", or "mtu".
func MTU(n *store.Network) int {
	for _, key := range []string{"com.docker.network.driver.mtu", "mtu"} {
		if mtu, err := strconv.Atoi(n.Options[key]); err == nil && mtu > 0 {
			return mtu
		}
	}
	if n.Driver == "overlay" {
		return overlayMTU(n)
	}
	return DefaultMTU
}

// EnsureNetwork makes a network's bridge what it should be, and returns its name. A
// bridge of an earlier network of the same name is removed. A macvlan network has no
// bridge: see [Links.EnsureMacvlan].
func (l *Links) EnsureNetwork(n *store.Network) (string, error) {
	bridge := Bridge(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wires[n.ID] != 0 {
		return bridge, nil
	}
	if old := l.current[n.Name]; old != "" && old != bridge {
		if err := l.conn.do(deleteLink(old)); err != nil {
			return "", err
		}
	}
	index, err := l.makeBridge(n)
	if err != nil {
		return "", err
	}
	l.wires[n.ID], l.current[n.Name] = index, bridge
	return bridge, nil
}

// makeBridge needs two round trips: the index of the new bridge comes with the first.
func (l *Links) makeBridge(n *store.Network) (int, error) {
	bridge, what := Bridge(n), fmt.Sprintf("making network %q", n.Name)
	attributes := []*nl.RtAttr{ifname(bridge), hardware(bridgeMAC(n)), number(unix.IFLA_MTU, MTU(n)), linkInfo("bridge", bridgeData)}
	add := onLink(unix.RTM_NEWLINK, create, unix.IFF_UP, unix.IFF_UP, what, attributes...)
	add.fine = []unix.Errno{unix.EEXIST}
	var reply []byte
	if err := l.conn.do(add, getLink(bridge, &reply)); err != nil {
		return 0, err
	}
	i, err := index(reply)
	if err != nil {
		return 0, err
	}
	// Again what an interrupted helper may have left undone, and the name for the eye.
	requests := []*request{changeLink(bridge, what, nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(n.Name)))}
	for _, address := range addresses(n) {
		requests = append(requests, addAddress(i, address, what))
	}
	return i, l.conn.do(requests...)
}

// bridgeData: ports forward at once and for ever, there is no spanning tree; multicast
// goes everywhere, as nobody asks who listens.
func bridgeData(data *nl.RtAttr) {
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0))
}

// bridgeMAC is the bridge's address whatever its ports are, so that containers need
// not learn it again.
func bridgeMAC(n *store.Network) net.HardwareAddr {
	mac := net.HardwareAddr{0x02, 0, 0, 0, 0, 0}
	hex.Decode(mac[1:], []byte(n.ID[:min(len(n.ID), 10)]))
	return mac
}

// addresses are N's in a network: its gateways, and with one of IPv6 a link-local
// one, by which N asks who has an address (see parameters).
func addresses(n *store.Network) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range n.Subnets {
		if !s.Gateway.IsValid() {
			continue
		}
		all = append(all, netip.PrefixFrom(s.Gateway, s.Subnet.Bits()))
		if s.Gateway.Is6() {
			all = append(all, netip.PrefixFrom(firewall.LinkLocal(bridgeMAC(n)), 64))
		}
	}
	return all
}
