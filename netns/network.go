package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/skiff-containers/skiff/store"
)

// NetworksLock is held in the store while networks are created and removed.
const NetworksLock = "networks"

// Network reads a network by its name. The default one is made where the store has
// none yet. The error wraps store.ErrNoNetwork.
func Network(s *store.Store, name string) (*store.Network, error) {
	n, err := s.Network(name)
	if name != string(Bridge) || !errors.Is(err, store.ErrNoNetwork) {
		return n, err
	}
	lock, err := s.Lock(NetworksLock)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	if n, err := s.Network(name); !errors.Is(err, store.ErrNoNetwork) {
		return n, err
	}
	others, err := s.Networks()
	if err != nil {
		return nil, err
	}
	subnet, err := freeSubnet(defaultPools[:], 16, others)
	if err != nil {
		return nil, fmt.Errorf("making the default network: %w", err)
	}
	n = &store.Network{
		Name: name, ID: store.NewID(), Created: time.Now().UTC(), Driver: "bridge",
		Subnets: []store.Subnet{{Subnet: subnet, Gateway: subnet.Addr().Next()}},
	}
	return n, s.CreateNetwork(n)
}

// Where subnets are taken from when nobody says which: at first what other tools
// seldom use, at last the range for benchmarks (RFC 2544), which not even a VPN that
// claims all private addresses routes.
var (
	defaultPools = [...]netip.Prefix{
		netip.MustParsePrefix("10.90.0.0/16"), netip.MustParsePrefix("10.190.0.0/16"), netip.MustParsePrefix("172.30.0.0/16"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/16"),
	}
	userPools = [...]netip.Prefix{
		netip.MustParsePrefix("10.91.0.0/16"), netip.MustParsePrefix("10.92.0.0/14"), netip.MustParsePrefix("10.192.0.0/12"),
		netip.MustParsePrefix("172.24.0.0/14"), netip.MustParsePrefix("192.168.128.0/17"), netip.MustParsePrefix("198.19.0.0/16"),
	}
)

// freeSubnet is the first subnet of the pools that neither another network nor a
// route of the host overlaps.
func freeSubnet(pools []netip.Prefix, bits int, others []*store.Network) (netip.Prefix, error) {
	used := hostRoutes()
	for _, n := range others {
		for _, sub := range n.Subnets {
			used = append(used, sub.Subnet)
		}
	}
	for _, pool := range pools {
		// Past what overlaps at once: a pool has thousands of subnets.
		for sub := netip.PrefixFrom(pool.Addr(), bits); pool.Contains(sub.Addr()); {
			at := overlapping(used, sub)
			if !at.IsValid() {
				return sub, nil
			}
			if at.Bits() > bits {
				at = sub
			}
			next := lastOf(at).Next()
			if !next.IsValid() {
				break
			}
			sub = netip.PrefixFrom(next, bits)
		}
	}
	return netip.Prefix{}, errNoSubnet
}

var errNoSubnet = errors.New("all predefined address pools have been fully subnetted")

// overlapping is the first of several prefixes that shares an address with p; zero where none does.
func overlapping(all []netip.Prefix, p netip.Prefix) netip.Prefix {
	for _, other := range all {
		if other.Overlaps(p) {
			return other.Masked()
		}
	}
	return netip.Prefix{}
}
