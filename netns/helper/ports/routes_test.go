package ports

import (
	"net/netip"
	"testing"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
)

// Who a container sees, and by which of its addresses it is reached.
func TestChoose(t *testing.T) {
	t.Parallel()
	four := func(network, addr, gateway string, priority int) store.Endpoint {
		e := store.Endpoint{Network: network, IPv4: netip.MustParsePrefix(addr), Priority: priority}
		if gateway != "" {
			e.Gateway4 = netip.MustParseAddr(gateway)
		}
		return e
	}
	six := store.Endpoint{Network: "six", IPv6: netip.MustParsePrefix("fd00::2/64"), Gateway6: netip.MustParseAddr("fd00::1")}
	networks := map[string]*store.Network{
		"a": {Driver: "bridge"}, "b": {Driver: "bridge"}, "six": {Driver: "bridge"}, "wire": {Driver: "macvlan"},
		"inner": {Driver: "bridge", Internal: true, Subnets: []store.Subnet{{Subnet: netip.MustParsePrefix("10.7.0.0/24"), Gateway: netip.MustParseAddr("10.7.0.1")}}},
	}
	a, b, inner := four("a", "10.1.0.2/24", "10.1.0.1", 0), four("b", "10.2.0.2/24", "10.2.0.1", 5), four("inner", "10.7.0.2/24", "", 9)
	wire := four("wire", "10.8.0.2/24", "10.8.0.1", 9)
	for _, c := range []struct {
		what           string
		endpoints      []store.Endpoint
		client         string
		source, target string // "" for none
	}{
		{"the world", []store.Endpoint{a}, "192.0.2.1:99", "192.0.2.1:99", "10.1.0.2:80"},
		{"an IPv4 client of an IPv6 socket", []store.Endpoint{a}, "[::ffff:192.0.2.1]:99", "192.0.2.1:99", "10.1.0.2:80"},
		{"its own subnet", []store.Endpoint{a}, "10.1.0.9:99", "10.1.0.1:0", "10.1.0.2:80"},
		{"loopback", []store.Endpoint{a}, "127.0.0.1:99", "10.1.0.1:0", "10.1.0.2:80"},
		{"the default route's network", []store.Endpoint{a, b}, "192.0.2.1:99", "192.0.2.1:99", "10.2.0.2:80"},
		{"an internal one only", []store.Endpoint{inner}, "192.0.2.1:99", "10.7.0.1:0", "10.7.0.2:80"},
		{"not the internal one", []store.Endpoint{inner, a}, "192.0.2.1:99", "192.0.2.1:99", "10.1.0.2:80"},
		{"not macvlan", []store.Endpoint{wire, a}, "192.0.2.1:99", "192.0.2.1:99", "10.1.0.2:80"},
		{"IPv6", []store.Endpoint{a, six}, "[2001:db8::1]:99", "[2001:db8::1]:99", "[fd00::2]:80"},
		{"IPv6 without", []store.Endpoint{a}, "[2001:db8::1]:99", "10.1.0.1:0", "10.1.0.2:80"},
		{"IPv4 without", []store.Endpoint{six}, "192.0.2.1:99", "[fd00::1]:0", "[fd00::2]:80"},
		{"link-local", []store.Endpoint{six}, "[fe80::1%eth0]:99", "[fd00::1]:0", "[fd00::2]:80"},
		{"nowhere", nil, "192.0.2.1:99", "", ""},
		{"only macvlan", []store.Endpoint{wire}, "192.0.2.1:99", "", ""},
	} {
		r := newRoutes(&member.Member{Attachment: &store.Attachment{Endpoints: c.endpoints}, Networks: networks})
		source, target, ok := r.choose(netip.MustParseAddrPort(c.client), 80)
		if ok != (c.target != "") || ok && (source.String() != c.source || target.String() != c.target) {
			t.Errorf("%s: %s to %s, %v; want %s to %s", c.what, source, target, ok, c.source, c.target)
		}
	}
}
