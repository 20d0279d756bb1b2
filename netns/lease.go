package netns

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// lease gives the container an address of the network's: the one wanted, or where
// that is zero the lowest free one. The gateway is zero in an internal network.
func lease(s *store.Store, n *store.Network, four bool, want netip.Addr, container string) (addr netip.Prefix, gateway netip.Addr, err error) {
	found := false
	for i := range n.Subnets {
		sub := &n.Subnets[i]
		if sub.Subnet.Addr().Is4() != four || want.IsValid() && !sub.Subnet.Contains(want) {
			continue
		}
		found = true
		got := want
		if want.IsValid() {
			err = leaseStatic(s, n, sub, want, container)
		} else {
			got, err = leaseLowest(s, n, sub, container)
		}
		if err == nil {
			if !n.Internal {
				gateway = sub.Gateway
			}
			return netip.PrefixFrom(got, sub.Subnet.Bits()), gateway, nil
		}
		if !errors.Is(err, errExhausted) {
			return netip.Prefix{}, netip.Addr{}, err
		}
	}
	switch {
	case want.IsValid() && !found:
		err = fmt.Errorf("no configured subnet or ip-range of network %q contains the IP address %s", n.Name, want)
	case !found:
		err = fmt.Errorf("network %q has no subnet of %s", n.Name, family(four))
	default:
		err = &userns.HostError{
			What: fmt.Sprintf("no available %s addresses on this network's address pools: %s", family(four), n.Name),
			Hint: "end containers of this network, or make one with a larger --subnet",
			Err:  errExhausted,
		}
	}
	return netip.Prefix{}, netip.Addr{}, err
}

func family(four bool) string {
	if four {
		return "IPv4"
	}
	return "IPv6"
}

// errExhausted: every address of a subnet is given out.
var errExhausted = errors.New("all are given out")

// leaseStatic leases one address, taking it back from a container that is gone.
func leaseStatic(s *store.Store, n *store.Network, sub *store.Subnet, want netip.Addr, container string) error {
	if reserved(sub, want) {
		return fmt.Errorf("%w: %s is kept for the network %q itself", store.ErrAddressTaken, want, n.Name)
	}
	err := s.Lease(n.Name, want, container)
	if !errors.Is(err, store.ErrAddressTaken) {
		return err
	}
	if free, reclaimErr := s.Reclaim(n.Name, want); reclaimErr != nil {
		return reclaimErr
	} else if free {
		if err = s.Lease(n.Name, want, container); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w of network %q, by container %q", err, n.Name, nameOf(s, s.Holder(n.Name, want)))
}

// nameOf is a container's name, or the beginning of its id.
func nameOf(s *store.Store, id string) string {
	if c, err := s.Find(id); err == nil {
		if r, err := c.Record(); err == nil {
			return r.Name
		}
	}
	return id[:min(12, len(id))]
}

// leaseLowest leases the lowest free address. Others may ask at the same time: who
// is late for one takes the next. Only when all are given out it is looked whether
// somebody holds one for nothing.
func leaseLowest(s *store.Store, n *store.Network, sub *store.Subnet, container string) (netip.Addr, error) {
	for reclaimed := false; ; reclaimed = true {
		leased, err := s.Leased(n.Name)
		if err != nil {
			return netip.Addr{}, err
		}
		for addr, last := pool(sub); addr.IsValid() && addr.Compare(last) <= 0; addr = addr.Next() {
			if leased[addr] || reserved(sub, addr) {
				continue
			}
			err := s.Lease(n.Name, addr, container)
			if err == nil || !errors.Is(err, store.ErrAddressTaken) {
				return addr, err
			}
		}
		if reclaimed {
			return netip.Addr{}, errExhausted
		}
		for addr := range leased {
			if _, err := s.Reclaim(n.Name, addr); err != nil {
				return netip.Addr{}, err
			}
		}
	}
}

// pool is where addresses are given out.
func pool(sub *store.Subnet) (first, last netip.Addr) {
	p := sub.Subnet
	if sub.Range.IsValid() {
		p = sub.Range
	}
	return p.Masked().Addr(), lastOf(p)
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// reserved addresses are never given out: the network's own, its broadcast address,
// the gateway's, and those that --aux-address named. Of two addresses or one (RFC
// 3021, RFC 6164) none is the network's own.
func reserved(sub *store.Subnet, addr netip.Addr) bool {
	if addr == sub.Gateway {
		return true
	}
	for _, aux := range sub.Auxiliary {
		if addr == aux {
			return true
		}
	}
	if sub.Subnet.Bits() >= addr.BitLen()-1 {
		return false
	}
	return addr == sub.Subnet.Masked().Addr() || addr.Is4() && addr == lastOf(sub.Subnet)
}
