package ports

import (
	"net/netip"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
)

// routes say how a container is reached from N, by each family.
type routes struct{ four, six route }

// route is the way to one address of a container.
type route struct {
	addr    netip.Addr   // zero: none of this family
	subnet  netip.Prefix // its own, whose addresses are not answered by way of N
	gateway netip.Addr   // N's address in the subnet; zero: none
	out     bool         // its answers to any address come to N, its default gateway
}

// newRoutes looks for the endpoint that has the container's default route: only there
// do answers to the world's addresses come back.
func newRoutes(m *member.Member) routes {
	return routes{
		four: routeOf(m, func(e *store.Endpoint) (netip.Prefix, netip.Addr) { return e.IPv4, e.Gateway4 }),
		six:  routeOf(m, func(e *store.Endpoint) (netip.Prefix, netip.Addr) { return e.IPv6, e.Gateway6 }),
	}
}

func routeOf(m *member.Member, family func(*store.Endpoint) (netip.Prefix, netip.Addr)) route {
	var best route
	priority := 0
	for i := range m.Attachment.Endpoints {
		e := &m.Attachment.Endpoints[i]
		own, gateway := family(e)
		n := m.Networks[e.Network]
		if !own.IsValid() || n != nil && n.Driver == "macvlan" { // a macvlan's parent does not reach it
			continue
		}
		r := route{addr: own.Addr(), subnet: own.Masked(), gateway: gateway, out: gateway.IsValid() && (n == nil || !n.Internal)}
		if n != nil {
			for _, s := range n.Subnets {
				if s.Subnet.Contains(r.addr) && s.Gateway.IsValid() {
					r.gateway = s.Gateway
				}
			}
		}
		if !best.addr.IsValid() || r.out && (!best.out || e.Priority > priority) {
			best, priority = r, e.Priority
		}
	}
	return best
}

// choose says where a client's traffic goes in the container, and as whom: source is
// the client itself, or N's address with port 0 where the client's cannot be used.
// ok is false where the container has no address.
func (r *routes) choose(client netip.AddrPort, port uint16) (source, target netip.AddrPort, ok bool) {
	client = netip.AddrPortFrom(client.Addr().Unmap().WithZone(""), client.Port())
	to, other := &r.four, &r.six
	if client.Addr().Is6() {
		to, other = other, to
	}
	same := to.addr.IsValid()
	if !same {
		to = other
	}
	if !to.addr.IsValid() {
		return source, target, false
	}
	target = netip.AddrPortFrom(to.addr, port)
	if same && to.out && visible(client.Addr()) && !to.subnet.Contains(client.Addr()) {
		return client, target, true
	}
	return to.stand(), target, true
}

// stand is who stands in for a client.
func (r *route) stand() netip.AddrPort {
	if r.gateway.IsValid() {
		return netip.AddrPortFrom(r.gateway, 0)
	}
	if r.addr.Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}

// standIn is who stands in for a client whose own address is taken.
func (r *routes) standIn(target netip.Addr) netip.AddrPort {
	if r.six.addr == target {
		return r.six.stand()
	}
	return r.four.stand()
}

// visible tells whether answers to an address leave a container: those to loopback
// and link-local ones do not.
func visible(a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !(a.Is6() && a.IsLinkLocalUnicast())
}
