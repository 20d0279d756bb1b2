package netns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

func TestParseResolv(t *testing.T) {
	t.Parallel()
	c := ParseResolv("# made by hand\n; too\ndomain old.test\nsearch a.test b.test # both\nnameserver 127.0.0.53\n\tnameserver fe80::1%eth0 \n" +
		"nameserver\nnameserver garbage\nnameserver ::ffff:192.0.2.1\noptions edns0 ndots:2\noptions rotate\nsortlist 1.2.3.4\r\nnameserver 192.0.2.7")
	want := []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.7")}
	if !slices.Equal(c.Servers, want) {
		t.Errorf("servers are %v, want %v", c.Servers, want)
	}
	if !slices.Equal(c.Search, []string{"a.test", "b.test"}) || !slices.Equal(c.Options, []string{"edns0", "ndots:2", "rotate"}) {
		t.Errorf("search %q, options %q", c.Search, c.Options)
	}
}

func FuzzParseResolv(f *testing.F) {
	f.Add("nameserver 1.2.3.4\nsearch a b\noptions x:1 y\ndomain z\n")
	f.Add("options\x00 #;\nnameserver ::%")
	f.Fuzz(func(t *testing.T, text string) {
		c := ParseResolv(text)
		if len(c.Servers) > maxServers || len(c.Search) > maxWords || len(c.Options) > maxWords {
			t.Errorf("%d servers, %d domains, %d options", len(c.Servers), len(c.Search), len(c.Options))
		}
		// What is written from it is read as the same.
		again := ParseResolv(string(resolv(c, nil, store.DNS{Options: []string{"x"}})))
		if !slices.Equal(again.Servers, c.Servers) {
			t.Errorf("%v became %v", c.Servers, again.Servers)
		}
	})
}

func TestResolv(t *testing.T) {
	t.Parallel()
	host := ResolvConf{
		Servers: []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("fe80::1%eth0")},
		Search:  []string{"corp.test"},
		Options: []string{"edns0", "timeout:1", "rotate", "attempts:1"},
	}
	helper := []netip.Addr{netip.MustParseAddr("10.90.0.1")}
	for _, c := range []struct {
		name    string
		servers []netip.Addr
		dns     store.DNS
		want    string
	}{
		{"a network", helper, store.DNS{}, "nameserver 10.90.0.1\nsearch corp.test\noptions edns0 ndots:0\n"},
		{"a network, own servers", helper, store.DNS{Servers: []string{"192.0.2.1", "192.0.2.2"}}, "nameserver 10.90.0.1\nsearch corp.test\noptions edns0 ndots:0\n"},
		{"own search", helper, store.DNS{Search: []string{"x.test", "y.test"}}, "nameserver 10.90.0.1\nsearch x.test y.test\noptions edns0 ndots:0\n"},
		{"no search", helper, store.DNS{Search: []string{"."}}, "nameserver 10.90.0.1\noptions edns0 ndots:0\n"},
		{"own options", helper, store.DNS{Options: []string{"ndots:5", "timeout:9"}}, "nameserver 10.90.0.1\nsearch corp.test\noptions ndots:5 timeout:9\n"},
		{"a server in the container", helper, store.DNS{Servers: []string{"127.0.0.1"}}, "nameserver 127.0.0.1\nsearch corp.test\noptions edns0 ndots:0\n"},
		{"that and others", helper, store.DNS{Servers: []string{"192.0.2.1", "127.0.0.1", "192.0.2.2"}}, "nameserver 10.90.0.1\nnameserver 127.0.0.1\nsearch corp.test\noptions edns0 ndots:0\n"},
		{"the host's network", nil, store.DNS{Servers: []string{"192.0.2.1", "127.0.0.1"}}, "nameserver 192.0.2.1\nnameserver 127.0.0.1\nsearch corp.test\noptions edns0 timeout:1 rotate attempts:1\n"},
		{"the host's network, own search", nil, store.DNS{Search: []string{"x.test"}}, "nameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch x.test\noptions edns0 timeout:1 rotate attempts:1\n"},
	} {
		if got := string(resolv(host, c.servers, c.dns)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got, err := Resolv(helper, store.DNS{}); err != nil || !strings.HasPrefix(string(got), "nameserver 10.90.0.1\n") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNameServers(t *testing.T) {
	t.Parallel()
	a := attachment()
	networks := map[string]*store.Network{
		"inner": {Name: "inner", Internal: true, Subnets: []store.Subnet{{Subnet: netip.MustParsePrefix("10.91.0.0/24"), Gateway: netip.MustParseAddr("10.91.0.1")}}},
		"outer": {Name: "outer", Subnets: []store.Subnet{
			{Subnet: netip.MustParsePrefix("fd00:1::/64"), Gateway: netip.MustParseAddr("fd00:1::1")},
			{Subnet: netip.MustParsePrefix("10.92.0.0/24"), Gateway: netip.MustParseAddr("10.92.0.1")},
		}},
	}
	check := func(want string) {
		t.Helper()
		if got := NameServers(a, networks); len(got) != 1 || got[0].String() != want {
			t.Errorf("name servers are %v, want %s", got, want)
		}
	}
	check("10.91.0.1")
	a.Endpoints = a.Endpoints[1:]
	check("10.92.0.1")
	a.Endpoints[0].IPv4 = netip.Prefix{}
	check("fd00:1::1")
	a.Endpoints = nil
	if got := NameServers(a, networks); got != nil {
		t.Errorf("without a network: %v", got)
	}
}
