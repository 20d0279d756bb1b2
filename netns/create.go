package netns

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// CreateOptions are what `network create` asks, as it was given.
type CreateOptions struct {
	Name      string
	Driver    string   // "bridge", "macvlan" or "overlay"
	Subnets   []string // at most one of each family; one that is wanted and not given is found
	Gateways  []string
	Ranges    []string
	Auxiliary []string // name=address
	NoIPv4    bool     // with IPv6 only
	IPv6      bool
	NoDNS     bool // members do not find each other by name
	Internal  bool
	Options   []string // key=value
	Labels    map[string]string
}

// Create makes a network. Notices are sentences that the user should read, such as
// that a subnet covers a route of the host. The error wraps store.ErrNetworkExists
// where the name is taken.
func Create(s *store.Store, o *CreateOptions) (n *store.Network, notices []string, err error) {
	if err := checkName(o.Name); err != nil {
		return nil, nil, err
	}
	n = &store.Network{
		Name: o.Name, ID: store.NewID(), Created: time.Now().UTC(), Driver: o.Driver,
		EnableIPv6: o.IPv6, DisableDNS: o.NoDNS, Internal: o.Internal, Labels: o.Labels,
	}
	if n.Options, err = parseOptions(o.Driver, o.Options); err != nil {
		return nil, nil, err
	}
	if n.Subnets, err = parseSubnets(o); err != nil {
		return nil, nil, err
	}
	if err := checkFamilies(o, n.Subnets); err != nil {
		return nil, nil, err
	}
	if o.Driver == "overlay" && len(n.Subnets) == 0 {
		return nil, nil, &userns.HostError{
			What: "an overlay network needs a subnet, the same on all its hosts",
			Hint: "--subnet 10.44.0.0/16 everywhere, with an --ip-range and a --gateway of its own on each host",
		}
	}
	lock, err := s.Lock(NetworksLock)
	if err != nil {
		return nil, nil, err
	}
	defer lock.Unlock()
	others, err := s.Networks()
	if err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(others, func(other *store.Network) bool { return other.Name == o.Name }) {
		return nil, nil, fmt.Errorf("%w: network with name %s already exists", store.ErrNetworkExists, o.Name)
	}
	if notices, err = settleSubnets(n, !o.NoIPv4, others); err != nil {
		return nil, nil, err
	}
	if err := checkDriver(n, others); err != nil {
		return nil, nil, err
	}
	return n, notices, s.CreateNetwork(n)
}

// checkFamilies wants one family of addresses at least, and no subnet of one that is not wanted.
func checkFamilies(o *CreateOptions, subnets []store.Subnet) error {
	six := o.IPv6
	for _, sub := range subnets {
		if sub.Subnet.Addr().Is4() && o.NoIPv4 {
			return fmt.Errorf("subnet %s is of IPv4, which --ipv4=false turns off", sub.Subnet)
		}
		six = six || sub.Subnet.Addr().Is6()
	}
	if o.NoIPv4 && !six {
		return &userns.HostError{What: "IPv4 or IPv6 must be enabled", Hint: "--ipv4=false goes with --ipv6"}
	}
	return nil
}

// checkName keeps names free that mean something else after --network.
func checkName(name string) error {
	switch {
	case name == string(Bridge) || name == string(Host) || name == string(None) || name == "default":
		return fmt.Errorf("operation is not permitted on predefined %s network", name)
	case slices.Contains([]string{kindContainer, kindPath, kindPasta, kindSlirp, "private"}, name):
		return fmt.Errorf("invalid network name %q: it means something else after --network", name)
	case !store.ValidName(name):
		return fmt.Errorf("invalid network name %q: letters, digits, '_', '.' and '-', a letter or digit first", name)
	case len(name) > 128:
		return fmt.Errorf("invalid network name %.20q…: more than 128 characters", name)
	}
	return nil
}

// parseSubnets reads --subnet and, by the subnet that each lies in, what else is said of addresses.
func parseSubnets(o *CreateOptions) ([]store.Subnet, error) {
	var all subnets
	for _, text := range o.Subnets {
		p, err := parseSubnet(text)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.Subnet.Addr().Is4() == p.Addr().Is4() {
				return nil, fmt.Errorf("subnets %s and %s: a network has one of each family", other.Subnet, p)
			}
		}
		all = append(all, store.Subnet{Subnet: p})
	}
	if len(all) == 0 && len(o.Gateways)+len(o.Ranges)+len(o.Auxiliary) > 0 {
		return nil, errors.New("every ip-range or gateway must have a corresponding subnet")
	}
	for _, part := range []struct {
		texts []string
		take  func(text string) error
	}{{o.Ranges, all.takeRange}, {o.Gateways, all.takeGateway}, {o.Auxiliary, all.takeAuxiliary}} {
		for _, text := range part.texts {
			if err := part.take(text); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// subnets are those of one network.
type subnets []store.Subnet

// of is the subnet that an address is in, or nil.
func (all subnets) of(addr netip.Addr) *store.Subnet {
	i := slices.IndexFunc(all, func(sub store.Subnet) bool { return sub.Subnet.Contains(addr) })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func (all subnets) takeRange(text string) error {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("invalid ip-range %q: not in CIDR form", text)
	}
	sub := all.of(p.Addr())
	switch {
	case sub == nil || p.Bits() < sub.Subnet.Bits():
		return fmt.Errorf("no matching subnet for range %s", text)
	case sub.Range.IsValid():
		return fmt.Errorf("cannot configure multiple ranges (%s, %s) on the same subnet (%s)", text, sub.Range, sub.Subnet)
	}
	sub.Range = p.Masked()
	return nil
}

func (all subnets) takeGateway(text string) error {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return fmt.Errorf("invalid gateway address: %s", text)
	}
	sub := all.of(addr)
	switch {
	case sub == nil || reserved(sub, addr):
		return fmt.Errorf("no matching subnet for gateway %s", text)
	case sub.Gateway.IsValid():
		return fmt.Errorf("cannot configure multiple gateways (%s, %s) on the same subnet (%s)", text, sub.Gateway, sub.Subnet)
	}
	sub.Gateway = addr
	return nil
}

// takeAuxiliary takes name=address, which no container is given.
func (all subnets) takeAuxiliary(text string) error {
	name, value, found := strings.Cut(text, "=")
	addr, err := netip.ParseAddr(value)
	if !found || err != nil {
		return fmt.Errorf("invalid aux-address %q: expected name=address", text)
	}
	sub := all.of(addr)
	if sub == nil {
		return fmt.Errorf("no matching subnet for aux-address %s", value)
	}
	if sub.Auxiliary == nil {
		sub.Auxiliary = map[string]netip.Addr{}
	}
	sub.Auxiliary[name] = addr
	return nil
}

// The longest and shortest prefixes of subnets: there must be room for a gateway and
// a container, and something left for the world.
const (
	longest4, shortest4 = 30, 8
	longest6, shortest6 = 126, 32
)

func parseSubnet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid subnet %q: not in CIDR form", text)
	}
	addr, longest, least := p.Addr(), longest4, shortest4
	if addr.Is6() {
		longest, least = longest6, shortest6
	}
	switch {
	case addr.Is4In6():
		return netip.Prefix{}, fmt.Errorf("invalid subnet %s: it is an IPv4 one in disguise", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("invalid subnet %s: it should be %s", text, p.Masked())
	case p.Bits() > longest || p.Bits() < least:
		return netip.Prefix{}, fmt.Errorf("invalid subnet %s: its length must be from %d to %d", text, least, longest)
	case addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() ||
		overlapping(special[:], p).IsValid():
		return netip.Prefix{}, fmt.Errorf("invalid subnet %s: those addresses have a meaning of their own", text)
	}
	return p, nil
}

// special are addresses that mean something (RFC 6890), link-local ones above all,
// from which skiff takes the host's.
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"), netip.MustParsePrefix("::/96"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// settleSubnets finds the subnets that were not given, and compares the given ones
// with those of other networks and the routes of the host. With wants4 there is one of IPv4.
func settleSubnets(n *store.Network, wants4 bool, others []*store.Network) (notices []string, err error) {
	four, six := false, false
	for _, sub := range n.Subnets {
		four, six = four || sub.Subnet.Addr().Is4(), six || sub.Subnet.Addr().Is6()
		for _, other := range others {
			if slices.ContainsFunc(other.Subnets, func(o store.Subnet) bool { return o.Subnet.Overlaps(sub.Subnet) }) {
				return nil, &userns.HostError{
					What: fmt.Sprintf("invalid pool request: Pool overlaps with other one on this address space: %s is in network %q", sub.Subnet, other.Name),
					Hint: "choose another --subnet, or leave it out",
				}
			}
		}
	}
	notices = Shadowed(n)
	if wants4 && !four {
		free, err := freeSubnet(userPools[:], 24, others)
		if err != nil {
			return nil, &userns.HostError{What: "finding a subnet for the network", Hint: "remove networks by skiff network prune, or choose one by --subnet", Err: err}
		}
		n.Subnets = append([]store.Subnet{{Subnet: free}}, n.Subnets...)
	}
	n.EnableIPv6 = n.EnableIPv6 || six
	if n.EnableIPv6 && !six {
		n.Subnets = append(n.Subnets, store.Subnet{Subnet: randomULA()})
	}
	slices.SortStableFunc(n.Subnets, func(a, b store.Subnet) int { return a.Subnet.Addr().BitLen() - b.Subnet.Addr().BitLen() })
	for i := range n.Subnets {
		sub := &n.Subnets[i]
		if sub.Gateway.IsValid() {
			continue
		}
		gateway := sub.Subnet.Addr().Next()
		for reserved(sub, gateway) {
			gateway = gateway.Next()
		}
		if !sub.Subnet.Contains(gateway) {
			return nil, fmt.Errorf("subnet %s has no address left for the gateway", sub.Subnet)
		}
		sub.Gateway = gateway
	}
	return notices, nil
}

// Shadowed tells, in a sentence each, which routes of the host a network covers, so
// that its containers do not reach what lies there. The host may get such by a VPN
// long after the network was made.
func Shadowed(n *store.Network) (all []string) {
	routes := hostRoutes()
	for _, sub := range n.Subnets {
		if route := overlapping(routes, sub.Subnet); route.IsValid() {
			all = append(all, fmt.Sprintf("subnet %s overlaps with %s, which this host has a route to: containers of network %q do not reach that", sub.Subnet, route, n.Name))
		}
	}
	return all
}

// randomULA is a /64 that is nobody else's (RFC 4193, section 3.2): forty random
// bits, and sixteen more for the subnet.
func randomULA() netip.Prefix {
	var b [16]byte
	b[0] = 0xfd
	rand.Read(b[1:8])
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// sortedKeys lists the keys of a map for sentences.
func sortedKeys[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
