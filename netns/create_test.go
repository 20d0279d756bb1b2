package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	n, _, err := Create(s, &CreateOptions{Name: "plain", Driver: "bridge", IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	four, six := n.Subnets[0], n.Subnets[1]
	if four.Subnet.Bits() != 24 || four.Gateway != four.Subnet.Addr().Next() || six.Subnet.Bits() != 64 || !strings.HasPrefix(six.Subnet.String(), "fd") || six.Gateway != six.Subnet.Addr().Next() {
		t.Errorf("the subnets are %+v", n.Subnets)
	}
	second, _, err := Create(s, &CreateOptions{Name: "second", Driver: "bridge", Subnets: []string{"fd00:5::/64"}})
	if err != nil || !second.EnableIPv6 || second.Subnets[0].Subnet.Overlaps(four.Subnet) || second.Subnets[1].Subnet.String() != "fd00:5::/64" {
		t.Errorf("the second one is %+v, %v", second, err)
	}
	if only, _, err := Create(s, &CreateOptions{Name: "only", Driver: "bridge", NoIPv4: true, IPv6: true}); err != nil || len(only.Subnets) != 1 || only.EnableIPv4() || !only.EnableIPv6 {
		t.Errorf("the one of IPv6 only is %+v, %v", only, err)
	}
	full, _, err := Create(s, &CreateOptions{Name: "full", Driver: "bridge", Subnets: []string{"10.7.0.0/16"}, Ranges: []string{"10.7.8.0/24"}, Gateways: []string{"10.7.0.9"},
		Auxiliary: []string{"router=10.7.8.1"}, Internal: true, Options: []string{"com.docker.network.driver.mtu=1400", "isolate=0"}})
	if err != nil {
		t.Fatal(err)
	}
	if sub := full.Subnets[0]; sub.Gateway.String() != "10.7.0.9" || sub.Range.String() != "10.7.8.0/24" || sub.Auxiliary["router"].String() != "10.7.8.1" || full.Options["isolate"] != "false" {
		t.Errorf("the full one is %+v", full)
	}
	again, err := s.Network("full")
	if err != nil || again.Subnets[0].Auxiliary["router"] != netip.MustParseAddr("10.7.8.1") {
		t.Errorf("read again it is %+v, %v", again, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	small(t, s, "mine", "10.9.0.0/24")
	for _, c := range []struct {
		o   CreateOptions
		why string
	}{
		{CreateOptions{Name: "mine"}, "already exists"},
		{CreateOptions{Name: "bridge"}, "predefined bridge network"},
		{CreateOptions{Name: "pasta"}, "means something else"},
		{CreateOptions{Name: "a/b"}, "invalid network name"},
		{CreateOptions{Name: strings.Repeat("x", 200)}, "128"},
		{CreateOptions{Name: "x", Driver: "weave"}, "no such driver"},
		{CreateOptions{Name: "x", Driver: "host"}, "no network of the driver"},
		{CreateOptions{Name: "x", Subnets: []string{"10.9.0.128/25"}}, "Pool overlaps with other one on this address space"},
		{CreateOptions{Name: "x", Subnets: []string{"10.9.0"}}, "CIDR"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.1/24"}}, "it should be 10.8.0.0/24"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/31"}}, "length"},
		{CreateOptions{Name: "x", Subnets: []string{"127.0.0.0/16"}}, "meaning of their own"},
		{CreateOptions{Name: "x", Subnets: []string{"169.254.1.0/24"}}, "meaning of their own"},
		{CreateOptions{Name: "x", Subnets: []string{"::ffff:10.0.0.0/104"}}, "disguise"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/24", "10.7.0.0/24"}}, "one of each family"},
		{CreateOptions{Name: "x", Gateways: []string{"10.8.0.1"}}, "must have a corresponding subnet"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/24"}, Gateways: []string{"10.7.0.1"}}, "no matching subnet for gateway"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/24"}, Gateways: []string{"10.8.0.0"}}, "no matching subnet for gateway"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/24"}, Gateways: []string{"10.8.0.1", "10.8.0.2"}}, "multiple gateways"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/24"}, Ranges: []string{"10.8.0.0/16"}}, "no matching subnet for range"},
		{CreateOptions{Name: "x", Subnets: []string{"10.8.0.0/24"}, Auxiliary: []string{"a=10.7.0.1"}}, "no matching subnet for aux-address"},
		{CreateOptions{Name: "x", NoIPv4: true}, "must be enabled"},
		{CreateOptions{Name: "x", NoIPv4: true, IPv6: true, Subnets: []string{"10.8.0.0/24"}}, "turns off"},
		{CreateOptions{Name: "x", Options: []string{"what=1"}}, `"what" is not known`},
		{CreateOptions{Name: "x", Options: []string{"mtu=10"}}, "a number from"},
		{CreateOptions{Name: "x", IPv6: true, Options: []string{"mtu=1000"}}, "IPv6 needs 1280"},
		{CreateOptions{Name: "x", Options: []string{"com.docker.network.bridge.name=br0"}}, "its name is skiff's"},
		{CreateOptions{Name: "x", Options: []string{"com.docker.network.bridge.host_binding_ipv4=127.0.0.1"}}, "a network has no address of the host's"},
		{CreateOptions{Name: "x", Driver: "macvlan"}, "needs a parent"},
		{CreateOptions{Name: "x", Driver: "macvlan", Options: []string{"parent=lo"}}, "the host's own card"},
		{CreateOptions{Name: "x", Driver: "macvlan", Options: []string{"parent=none-such"}}, "no such network"},
		{CreateOptions{Name: "x", Driver: "overlay", Options: []string{"peers=192.0.2.1"}}, "needs a subnet"},
		{CreateOptions{Name: "x", Driver: "overlay", Subnets: []string{"10.8.0.0/24"}}, "addresses of the other hosts"},
		{CreateOptions{Name: "x", Driver: "overlay", Subnets: []string{"10.8.0.0/24"}, Options: []string{"peers=127.0.0.1"}}, "no address of a host"},
		{CreateOptions{Name: "x", Driver: "overlay", Subnets: []string{"10.8.0.0/24"}, Options: []string{"peers=192.0.2.1,2001:db8::1"}}, "in one list"},
	} {
		if c.o.Driver == "" {
			c.o.Driver = "bridge"
		}
		if _, _, err := Create(s, &c.o); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%+v gives error %v, want %q", c.o, err, c.why)
		}
	}
	if all, err := s.Networks(); err != nil || len(all) != 1 {
		t.Errorf("%d networks are there, %v", len(all), err)
	}
}

func TestCreateDrivers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	small(t, s, "mine", "10.9.0.0/24")
	overlay := CreateOptions{Name: "wide", Driver: "overlay", Subnets: []string{"10.8.0.0/24"}, Options: []string{"peers=192.0.2.1,192.0.2.2"}}
	n, _, err := Create(s, &overlay)
	if err != nil || n.Options["vni"] != "4096" || n.Options["port"] != "4789" {
		t.Errorf("the overlay is %+v, %v", n, err)
	}
	overlay.Name, overlay.Subnets = "wider", []string{"10.7.0.0/24"}
	if _, _, err := Create(s, &overlay); err == nil || !strings.Contains(err.Error(), "VNI") {
		t.Errorf("the same VNI gives %v", err)
	}
	if n, _, err := Create(s, &CreateOptions{Name: "on", Driver: "macvlan", Options: []string{"parent=mine"}}); err != nil || n.Options["parent"] != "mine" {
		t.Errorf("the macvlan is %+v, %v", n, err)
	}
	if _, _, err := Create(s, &CreateOptions{Name: "over", Driver: "macvlan", Options: []string{"parent=on"}}); err == nil || errors.Is(err, store.ErrNoNetwork) {
		t.Errorf("a macvlan on a macvlan gives %v", err)
	}
}

// Whatever is said of subnets is understood or refused.
func FuzzParseSubnets(f *testing.F) {
	f.Add("10.0.0.0/8", "10.0.0.1", "10.1.0.0/16", "a=10.0.0.2")
	f.Add("fd00::/64", "fd00::1", "fd00::/80", "a=fd00::2")
	f.Fuzz(func(t *testing.T, subnet, gateway, ipRange, aux string) {
		o := &CreateOptions{Subnets: []string{subnet}, Gateways: []string{gateway}, Ranges: []string{ipRange}, Auxiliary: []string{aux}}
		if all, err := parseSubnets(o); err == nil && !all[0].Subnet.Contains(all[0].Gateway) {
			t.Errorf("%+v gives %+v", o, all)
		}
	})
}

// Networks that are made at once get subnets of their own.
func TestCreateParallel(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			if _, _, err := Create(s, &CreateOptions{Name: fmt.Sprintf("n%d", i), Driver: "bridge"}); err != nil {
				t.Error(err)
			}
		})
	}
	for range 4 {
		wait.Go(func() {
			if _, err := Network(s, "bridge"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	all, err := s.Networks()
	if err != nil || len(all) != 41 {
		t.Fatalf("%d networks are there, %v", len(all), err)
	}
	for i, n := range all {
		for _, other := range all[:i] {
			if n.Subnets[0].Subnet.Overlaps(other.Subnets[0].Subnet) {
				t.Errorf("%s has %s, %s has %s", n.Name, n.Subnets[0].Subnet, other.Name, other.Subnets[0].Subnet)
			}
		}
	}
}
