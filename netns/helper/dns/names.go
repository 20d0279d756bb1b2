package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/net/dns/dnsmessage"
)

// shortID is how much of an id is a name.
const shortID = 12

// local answers what m may know of its networks. Known is false where the name is none of theirs.
func (s *Server) local(m *member.Member, q *query) (r records, code dnsmessage.RCode, known bool) {
	if addr, ok := parseReverse(q.name); ok {
		return s.reverse(m, addr, q.question.Type)
	}
	// They resolve in internal networks too, where nothing leads there.
	if slices.Contains(netns.HostNames, q.name) {
		if q.question.Type == dnsmessage.TypeA {
			r.addrs = []netip.Addr{member.HostAddress}
		}
		return r, dnsmessage.RCodeSuccess, true
	}
	if q.name == "" {
		return r, dnsmessage.RCodeSuccess, false // the root, which is not a name that is missing
	}
	r.addrs, known = s.forward(m, q.name, q.question.Type)
	return r, dnsmessage.RCodeSuccess, known
}

// forward finds the addresses of a name, in the first of m's networks that has any
// of the family. Known tells whether there is such a name at all. Of several
// containers that share a name each is the first now and then.
func (s *Server) forward(m *member.Member, name string, family dnsmessage.Type) (addrs []netip.Addr, known bool) {
	all := s.directory.All()
	for i := range m.Attachment.Endpoints {
		here := &m.Attachment.Endpoints[i]
		if nameless(m, here) {
			continue
		}
		bare, qualified := strings.CutSuffix(name, "."+strings.ToLower(here.Network))
		for _, other := range all {
			for j := range other.Attachment.Endpoints {
				there := &other.Attachment.Endpoints[j]
				if !sameNetwork(here, there) || !called(other, here, there, name) && !(qualified && called(other, here, there, bare)) {
					continue
				}
				known = true
				switch {
				case family == dnsmessage.TypeA && there.IPv4.IsValid():
					addrs = append(addrs, there.IPv4.Addr())
				case family == dnsmessage.TypeAAAA && there.IPv6.IsValid():
					addrs = append(addrs, there.IPv6.Addr())
				}
			}
		}
		if len(addrs) > 0 {
			break
		}
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs, known
}

// nameless tells whether the network of an endpoint of m's was made without names.
func nameless(m *member.Member, here *store.Endpoint) bool {
	n := m.Networks[here.Network]
	return n != nil && n.DisableDNS
}

func sameNetwork(a, b *store.Endpoint) bool {
	return a.Network == b.Network && a.NetworkID == b.NetworkID
}

// called tells whether a container that has the endpoint there goes by a name, for
// the one that has the endpoint here in the same network. What that one calls it
// (--link) goes before what it is called.
func called(other *member.Member, here, there *store.Endpoint, name string) bool {
	a := other.Attachment
	for alias, target := range here.Links {
		if strings.EqualFold(alias, name) {
			return strings.EqualFold(target, a.Name) || len(target) >= shortID && strings.HasPrefix(a.Container, target)
		}
	}
	if strings.EqualFold(a.Name, name) || strings.EqualFold(a.Hostname, name) {
		return true
	}
	if len(name) >= shortID && (name == a.Container || name == a.Container[:min(shortID, len(a.Container))]) {
		return true
	}
	return slices.ContainsFunc(there.Aliases, func(alias string) bool { return strings.EqualFold(alias, name) })
}

// reverse finds the name of an address: as Docker has it, the container's with the
// network's. An address of m's networks that is nobody's is nobody's elsewhere.
func (s *Server) reverse(m *member.Member, addr netip.Addr, asked dnsmessage.Type) (r records, code dnsmessage.RCode, known bool) {
	name := ""
	if addr == member.HostAddress {
		name = netns.HostNames[0]
	} else if other, there := s.directory.Of(addr); other != nil {
		for i := range m.Attachment.Endpoints {
			if here := &m.Attachment.Endpoints[i]; sameNetwork(here, there) && !nameless(m, here) {
				name = other.Attachment.Name + "." + there.Network
			}
		}
	}
	if name == "" {
		return r, dnsmessage.RCodeNameError, inNetworks(m, addr)
	}
	if wire, ok := wireName(name); ok && asked == dnsmessage.TypePTR {
		r.names = append(r.names, wire)
	}
	return r, dnsmessage.RCodeSuccess, true
}

// inNetworks tells whether an address is in the range of a network of m's.
func inNetworks(m *member.Member, addr netip.Addr) bool {
	for _, n := range m.Networks {
		for _, s := range n.Subnets {
			if s.Subnet.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// wireName makes a name of a message, where it can be one: names of containers may
// be longer than labels.
func wireName(text string) (dnsmessage.Name, bool) {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 {
			return dnsmessage.Name{}, false
		}
	}
	name, err := dnsmessage.NewName(text + ".")
	return name, err == nil && len(text) < 254
}

// parseReverse reads the name of an address (RFC 1035, 3.5; RFC 3596, 2.5).
func parseReverse(name string) (netip.Addr, bool) {
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(digits, ".")
		slices.Reverse(parts)
		addr, err := netip.ParseAddr(strings.Join(parts, "."))
		return addr, err == nil && addr.Is4()
	}
	nibbles, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(nibbles) != 63 {
		return netip.Addr{}, false
	}
	var text []byte
	for i := 62; i >= 0; i -= 2 {
		if i > 0 && nibbles[i-1] != '.' {
			return netip.Addr{}, false
		}
		text = append(text, nibbles[i])
		if len(text)%5 == 4 && i > 0 {
			text = append(text, ':')
		}
	}
	addr, err := netip.ParseAddr(string(text))
	return addr, err == nil
}
