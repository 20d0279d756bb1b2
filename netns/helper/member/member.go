// Package member knows which container has an address, and what it may reach.
package member

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/skiff-containers/skiff/store"
)

// HostAddress is where containers find the host: what host.docker.internal,
// host.containers.internal and gateway.docker.internal resolve to, in every mode.
// No network has it, so packets for it take the way out.
var HostAddress = netip.MustParseAddr("169.254.1.2")

// Member is an attached container. What is exported does not change: a change of
// its networks puts another Member in its place.
type Member struct {
	Attachment *store.Attachment
	Networks   map[string]*store.Network // by name, one for each endpoint

	// Pending counts what the container has begun and not brought to an end: dials,
	// half-open connections. Modules that let it hold something add to it and subtract.
	Pending *atomic.Int64
}

// ID is the container's.
func (m *Member) ID() string { return m.Attachment.Container }

// Directory finds members. Lookups are on the way of every packet's first flow.
type Directory struct {
	mu     sync.RWMutex
	byID   map[string]*Member
	byAddr map[netip.Addr]place
	host   known
}

type place struct {
	member   *Member
	endpoint *store.Endpoint
}

// Put enters a member, or replaces the one with the same id.
func (d *Directory) Put(m *Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID == nil {
		d.byID, d.byAddr = map[string]*Member{}, map[netip.Addr]place{}
	}
	d.removeLocked(m.ID())
	d.byID[m.ID()] = m
	for i := range m.Attachment.Endpoints {
		e := &m.Attachment.Endpoints[i]
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() {
				d.byAddr[p.Addr()] = place{m, e}
			}
		}
	}
}

// Remove forgets a member.
func (d *Directory) Remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeLocked(id)
}

func (d *Directory) removeLocked(id string) {
	m := d.byID[id]
	if m == nil {
		return
	}
	delete(d.byID, id)
	for addr, p := range d.byAddr {
		if p.member == m {
			delete(d.byAddr, addr)
		}
	}
}

// Get finds a member by its full id.
func (d *Directory) Get(id string) *Member {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byID[id]
}

// Of finds whose address it is; nil where it is nobody's.
func (d *Directory) Of(addr netip.Addr) (*Member, *store.Endpoint) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.byAddr[addr.Unmap()]
	return p.member, p.endpoint
}

// All lists the members in no order.
func (d *Directory) All() []*Member {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]*Member, 0, len(d.byID))
	for _, m := range d.byID {
		all = append(all, m)
	}
	return all
}

// ErrProhibited: this destination is not for containers. It is answered like a
// refusal by the network's administrator (ICMP communication administratively
// prohibited; for TCP a reset).
var ErrProhibited = errors.New("destination is out of reach for containers")

// Target says where a packet from src to dst goes, as seen from the host's network
// namespace: dst itself, or the host for [HostAddress]. It refuses, with
// ErrProhibited, sources that are no member's, those in internal networks, and what
// would end at the host's loopback services or at no single host.
func (d *Directory) Target(src netip.Addr, dst netip.AddrPort) (netip.AddrPort, *Member, error) {
	m, endpoint := d.Of(src)
	if m == nil {
		return netip.AddrPort{}, nil, ErrProhibited
	}
	if n := m.Networks[endpoint.Network]; n != nil && n.Internal {
		return netip.AddrPort{}, m, ErrProhibited
	}
	addr := dst.Addr().Unmap()
	if addr == HostAddress {
		host, err := d.host.hostAddr(m.Attachment.HostLoopback)
		return netip.AddrPortFrom(host, dst.Port()), m, err
	}
	if addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() && addr.Is6() || addr == broadcast || !dst.Addr().Is4() && dst.Addr().Is4In6() {
		return netip.AddrPort{}, m, ErrProhibited
	}
	return netip.AddrPortFrom(addr, dst.Port()), m, nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
