package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attach gives a container the interfaces of all its endpoints, with addresses and
// routes. container is its network namespace; the networks were made before by
// [Links.EnsureNetwork]. Interfaces that are there and right are left alone. The
// firewall lets nothing in by the new ports until it was told of them.
func (l *Links) Attach(container *space.Space, m *member.Member) error {
	endpoints := m.Attachment.Endpoints
	macs := make([]net.HardwareAddr, len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		mac, err := net.ParseMAC(e.MAC)
		if err != nil || len(mac) != 6 {
			return fmt.Errorf("attaching to network %q: MAC address %q is none of Ethernet's", e.Network, e.MAC)
		}
		macs[i] = mac
		if err := l.connect(container, e, m.Networks[e.Network], mac); err != nil {
			return err
		}
	}
	if err := container.Do(func() error {
		c, err := dial()
		if err != nil {
			return err
		}
		defer c.close()
		return inside(c, endpoints)
	}); err != nil {
		return err
	}
	bridges := map[string]bool{}
	for _, n := range m.Networks {
		bridges[Bridge(n)] = true
	}
	return l.n.Do(func() error { return settle(bridges, endpoints) })
}

// connect makes the container's interface, not up yet, and what leads from it to a
// port of the bridge.
func (l *Links) connect(container *space.Space, e *store.Endpoint, n *store.Network, mac net.HardwareAddr) error {
	if n == nil {
		return fmt.Errorf("attaching to network %q: %w", e.Network, store.ErrNoNetwork)
	}
	l.mu.Lock()
	bridge := l.wires[n.ID]
	l.mu.Unlock()
	if bridge == 0 {
		return fmt.Errorf("attaching to network %q: it has no bridge yet", e.Network)
	}
	way := pair
	if n.Driver == "macvlan" {
		way = macvlan
	}
	err := way(l, container, e, n, mac, bridge)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	right, err := l.verify(container, e, mac)
	if err != nil || right {
		return err
	}
	// Of the container's last run, whose namespace the kernel has not cleaned up yet.
	if err := l.remove(Port(e)); err != nil {
		return err
	}
	return way(l, container, e, n, mac, bridge)
}

// pair makes a veth pair: the container's interface and the port.
func pair(l *Links, container *space.Space, e *store.Endpoint, n *store.Network, mac net.HardwareAddr, bridge int) error {
	what, mtu := fmt.Sprintf("attaching to network %q", e.Network), MTU(n)
	veth := linkInfo("veth", func(data *nl.RtAttr) {
		peer := data.AddRtAttr(nl.VETH_INFO_PEER, nil)
		nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
		peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Interface))
		peer.AddRtAttr(unix.IFLA_ADDRESS, mac)
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
		peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(container.File().Fd())))
	})
	requests := []*request{onLink(unix.RTM_NEWLINK, create, unix.IFF_UP, unix.IFF_UP, what,
		ifname(Port(e)), number(unix.IFLA_MTU, mtu), number(unix.IFLA_MASTER, bridge), veth)}
	if n.Options["com.docker.network.bridge.enable_icc"] == "false" {
		requests = append(requests, changeLink(Port(e), what, isolated()))
	}
	return l.conn.do(requests...)
}

// isolated makes a bridge's port one that exchanges frames with ports that are not so
// and with the bridge itself, and with no other.
func isolated() *nl.RtAttr {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil).AddRtAttr(nl.IFLA_BRPORT_ISOLATED, nl.Uint8Attr(1))
	return info
}

// verify tells whether the interface in the container is what leads to the port in N,
// as the endpoint says. It is an error if the name is taken by another.
func (l *Links) verify(container *space.Space, e *store.Endpoint, mac net.HardwareAddr) (bool, error) {
	taken := fmt.Errorf("attaching to network %q: the container has an interface %q already", e.Network, e.Interface)
	var reply []byte
	err := l.conn.do(getLink(carrier(e), &reply))
	if errors.Is(err, unix.ENODEV) {
		err = l.conn.do(getLink(Port(e), &reply))
	}
	if errors.Is(err, unix.ENODEV) { // what exists has the name inside
		return false, taken
	}
	if err != nil {
		return false, err
	}
	here, err := index(reply)
	if err != nil {
		return false, err
	}
	right := false
	err = container.Do(func() error {
		found, err := netlink.LinkByName(e.Interface)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("finding interface %q: %w", e.Interface, err)
		}
		kind, a := found.Type(), found.Attrs()
		right = (kind == "veth" || kind == "macvlan") && a.ParentIndex == here && a.HardwareAddr.String() == mac.String()
		return nil
	})
	return right, err
}

// inside is done in the container's namespace: addresses, up, routes. A container with no IPv6 address
// has no IPv6 on that interface at all.
func inside(c *conn, endpoints []store.Endpoint) error {
	indexes := make([]int, len(endpoints))
	var requests []*request
	for i := range endpoints {
		e := &endpoints[i]
		if err := ipv6(e); err != nil {
			return err
		}
		if err := sysctls(e); err != nil {
			return err
		}
		var reply []byte
		if err := c.do(getLink(e.Interface, &reply)); err != nil {
			return err
		}
		var err error
		if indexes[i], err = index(reply); err != nil {
			return err
		}
		what := fmt.Sprintf("attaching to network %q", e.Network)
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() {
				requests = append(requests, addAddress(indexes[i], p, what))
			}
		}
		requests = append(requests, changeLink(e.Interface, what))
	}
	return c.do(append(requests, routes(endpoints, indexes)...)...)
}

func ipv6(e *store.Endpoint) error {
	if e.IPv6.IsValid() {
		return set("ipv6/conf/"+e.Interface+"/accept_dad", "0")
	}
	return set("ipv6/conf/"+e.Interface+"/disable_ipv6", "1")
}

// routes are the default routes: by the gateway of the endpoint with the highest
// priority that has one, for each family.
func routes(endpoints []store.Endpoint, indexes []int) []*request {
	var requests []*request
	for _, gateway := range []func(*store.Endpoint) netip.Addr{
		func(e *store.Endpoint) netip.Addr { return e.Gateway4 },
		func(e *store.Endpoint) netip.Addr { return e.Gateway6 },
	} {
		best := -1
		for i := range endpoints {
			if gateway(&endpoints[i]).IsValid() && (best < 0 || endpoints[i].Priority > endpoints[best].Priority) {
				best = i
			}
		}
		if best >= 0 {
			e := &endpoints[best]
			requests = append(requests, defaultRoute(indexes[best], gateway(e), fmt.Sprintf("attaching to network %q", e.Network)))
		}
	}
	return requests
}
