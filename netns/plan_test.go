package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// newStore is an empty store.
func newStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newContainer puts a container that was never started into a store.
func newContainer(t testing.TB, s *store.Store, networks ...store.EndpointConfig) *store.Record {
	t.Helper()
	r := &store.Record{ID: store.NewID(), Networks: networks}
	r.Name = "c" + r.ID[:12]
	r.HostConfig.NetworkMode = networks[0].Network
	if _, err := s.Create(r, store.Fleeting, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

// starting holds the lock that a starter holds, to the test's end.
func starting(t testing.TB, s *store.Store, r *store.Record) {
	t.Helper()
	c, err := s.Find(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	lock, _, err := c.LockChange()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lock.Unlock)
}

func small(t testing.TB, s *store.Store, name, subnet string) *store.Network {
	t.Helper()
	p := netip.MustParsePrefix(subnet)
	n := &store.Network{Name: name, ID: store.NewID(), Driver: "bridge", Subnets: []store.Subnet{{Subnet: p, Gateway: p.Addr().Next()}}}
	if err := s.CreateNetwork(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The default network comes into being with the first container that wants it.
func TestPlanDefault(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newContainer(t, s, store.EndpointConfig{Network: "bridge"})
	a, err := Plan(s, r)
	if err != nil {
		t.Fatal(err)
	}
	e := a.Endpoints[0]
	if e.Interface != "eth0" || !e.IPv4.Addr().Is4() || e.IPv4.Bits() != 16 || e.Gateway4 != e.IPv4.Addr().Prev() || !strings.HasPrefix(e.MAC, "02:42:") || len(e.ID) != 64 {
		t.Errorf("the endpoint is %+v", e)
	}
	if hold := s.Holder("bridge", e.IPv4.Addr()); hold != r.ID {
		t.Errorf("%s is held by %q", e.IPv4, hold)
	}
	again, err := Plan(s, r)
	if err != nil || again.Endpoints[0].NetworkID != e.NetworkID {
		t.Errorf("planned again: %+v, %v", again, err)
	}
}

// Modes without networks of skiff's have no plan.
func TestPlanNone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, mode := range []Mode{None, Host, "container:x", "ns:/x", ""} {
		r := &store.Record{}
		r.HostConfig.NetworkMode = string(mode)
		if a, err := Plan(s, r); mode != "" && (a != nil || err != nil) {
			t.Errorf("%q: %+v, %v", mode, a, err)
		}
	}
}

// However many ask at once, nobody gets what another has, and everybody what is there.
func TestPlanParallel(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	small(t, s, "mine", "10.9.0.0/24")
	const most = 253
	var records []*store.Record
	for range most {
		r := newContainer(t, s, store.EndpointConfig{Network: "mine"})
		starting(t, s, r)
		records = append(records, r)
	}
	var mu sync.Mutex
	holders := map[netip.Addr]string{}
	var wait sync.WaitGroup
	for _, r := range records {
		wait.Go(func() {
			a, err := Plan(s, r)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			addr := a.Endpoints[0].IPv4.Addr()
			if before := holders[addr]; before != "" {
				t.Errorf("%s was given to %s and %s", addr, before, r.ID)
			}
			holders[addr] = r.ID
		})
	}
	wait.Wait()
	if len(holders) != most {
		t.Errorf("%d addresses were given out, not %d", len(holders), most)
	}
	late := newContainer(t, s, store.EndpointConfig{Network: "mine"})
	if _, err := Plan(s, late); !errors.Is(err, errExhausted) || !strings.Contains(err.Error(), "no available IPv4 addresses") {
		t.Errorf("one more gives %v", err)
	}
}

// What is leased to a container that neither runs nor starts is taken back when it is needed.
func TestPlanReclaims(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	n := small(t, s, "mine", "10.9.0.0/29") // five for containers
	for i := range 5 {
		holder := fmt.Sprintf("%064x", i) // never existed
		if i == 0 {
			holder = newContainer(t, s, store.EndpointConfig{Network: "mine"}).ID // does not run
		}
		if err := s.Lease(n.Name, netip.AddrFrom4([4]byte{10, 9, 0, byte(2 + i)}), holder); err != nil {
			t.Fatal(err)
		}
	}
	r := newContainer(t, s, store.EndpointConfig{Network: "mine"})
	if a, err := Plan(s, r); err != nil || a.Endpoints[0].IPv4.String() != "10.9.0.2/29" {
		t.Errorf("plan: %+v, %v", a, err)
	}
	if left, err := s.Leased("mine"); err != nil || len(left) != 1 {
		t.Errorf("leases are %v, %v", left, err)
	}
}

func TestPlanStatic(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	small(t, s, "mine", "10.9.0.0/24")
	want := func(addr string) store.EndpointConfig {
		return store.EndpointConfig{Network: "mine", IPAMConfig: &store.EndpointIPAM{IPv4Address: addr}}
	}
	holder := newContainer(t, s, want("10.9.0.7"))
	starting(t, s, holder)
	if a, err := Plan(s, holder); err != nil || a.Endpoints[0].IPv4.String() != "10.9.0.7/24" || !a.Endpoints[0].Static {
		t.Fatalf("plan: %+v, %v", a, err)
	}
	for addr, why := range map[string]string{
		"10.9.0.7":   "by container \"" + holder.Name + "\"",
		"10.9.1.7":   "no configured subnet",
		"10.9.0.0":   "kept for the network",
		"10.9.0.1":   "kept for the network",
		"10.9.0.255": "kept for the network",
	} {
		if _, err := Plan(s, newContainer(t, s, want(addr))); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s gives %v, want %q", addr, err, why)
		}
	}
}

// A network has what it was made with: addresses of IPv6 alone, no names.
func TestPlanWithout(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, o := range []CreateOptions{
		{Name: "six", Driver: "bridge", NoIPv4: true, Subnets: []string{"fd00:6::/64"}},
		{Name: "quiet", Driver: "bridge", NoDNS: true},
	} {
		if _, _, err := Create(s, &o); err != nil {
			t.Fatal(err)
		}
	}
	first, err := Plan(s, newContainer(t, s, store.EndpointConfig{Network: "six"}))
	if err != nil {
		t.Fatal(err)
	}
	e := first.Endpoints[0]
	if e.IPv4.IsValid() || e.Gateway4.IsValid() || e.IPv6.String() != "fd00:6::2/64" || e.Gateway6.String() != "fd00:6::1" {
		t.Errorf("the place is %+v", e)
	}
	if mac, err := parseMAC(e.MAC); err != nil || mac != macOf(&e) {
		t.Errorf("the MAC address %q: %v", e.MAC, err)
	}
	// The last four bytes are the same, which would be all of an IPv4 address.
	second, err := Plan(s, newContainer(t, s, store.EndpointConfig{Network: "six", IPAMConfig: &store.EndpointIPAM{IPv6Address: "fd00:6::1:0:2"}}))
	if err != nil || second.Endpoints[0].MAC == e.MAC {
		t.Errorf("the second place is %+v, %v", second, err)
	}
	for _, bad := range []struct {
		config store.EndpointConfig
		why    string
	}{
		{store.EndpointConfig{Network: "six", IPAMConfig: &store.EndpointIPAM{IPv4Address: "10.1.1.1"}}, "has no IPv4"},
		{store.EndpointConfig{Network: "quiet", Aliases: []string{"www"}}, "--disable-dns"},
		{store.EndpointConfig{Network: "quiet", Links: []string{"web:www"}}, "--disable-dns"},
	} {
		if _, err := Plan(s, newContainer(t, s, bad.config)); err == nil || !strings.Contains(err.Error(), bad.why) {
			t.Errorf("%+v gives %v, want %q", bad.config, err, bad.why)
		}
	}
}

// A plan that fails half-way keeps nothing.
func TestPlanFailure(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	small(t, s, "mine", "10.9.0.0/24")
	named := map[string]string{OptionInterface: "wan"}
	for _, second := range []store.EndpointConfig{
		{Network: "none-such"},
		{Network: "mine", DriverOpts: named},
		{Network: "mine", IPAMConfig: &store.EndpointIPAM{IPv6Address: "fd00::1"}},
	} {
		if _, err := Plan(s, newContainer(t, s, store.EndpointConfig{Network: "mine", DriverOpts: named}, second)); err == nil {
			t.Errorf("%+v was planned", second)
		}
		if left, err := s.Leased("mine"); err != nil || len(left) != 0 {
			t.Errorf("after %+v leases are %v, %v", second, left, err)
		}
	}
}

func TestPlanSeveral(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	small(t, s, "a", "10.9.0.0/24")
	b := &store.Network{Name: "b", ID: store.NewID(), Driver: "bridge", Internal: true, EnableIPv6: true, Subnets: []store.Subnet{
		{Subnet: netip.MustParsePrefix("10.8.0.0/24"), Gateway: netip.MustParseAddr("10.8.0.1"), Range: netip.MustParsePrefix("10.8.0.128/25"),
			Auxiliary: map[string]netip.Addr{"router": netip.MustParseAddr("10.8.0.128")}},
		{Subnet: netip.MustParsePrefix("fd00:1::/64"), Gateway: netip.MustParseAddr("fd00:1::1")},
	}}
	if err := s.CreateNetwork(b); err != nil {
		t.Fatal(err)
	}
	r := newContainer(t, s, store.EndpointConfig{Network: "a"},
		store.EndpointConfig{Network: "b", DriverOpts: map[string]string{OptionInterface: "eth0"}, MacAddress: "02:00:00:00:00:09", Aliases: []string{"x"}, Links: []string{"web:www"}, GwPriority: 3})
	a, err := Plan(s, r)
	if err != nil {
		t.Fatal(err)
	}
	one, two := a.Endpoints[0], a.Endpoints[1]
	if one.Interface != "eth1" || two.Interface != "eth0" || two.IPv4.String() != "10.8.0.129/24" || two.IPv6.String() != "fd00:1::2/64" ||
		two.Gateway4.IsValid() || two.Gateway6.IsValid() || two.MAC != "02:00:00:00:00:09" || two.Links["www"] != "web" || two.Priority != 3 {
		t.Errorf("the endpoints are %+v and %+v", one, two)
	}
}

func TestFreeSubnet(t *testing.T) {
	t.Parallel()
	taken := []*store.Network{}
	for _, p := range []string{"10.91.0.0/24", "10.91.1.128/25", "10.91.2.0/23"} {
		taken = append(taken, &store.Network{Subnets: []store.Subnet{{Subnet: netip.MustParsePrefix(p)}}})
	}
	got, err := freeSubnet(userPools[:1], 24, taken)
	if err != nil || got.String() != "10.91.4.0/24" {
		t.Errorf("the free subnet is %s, %v", got, err)
	}
	taken = append(taken, &store.Network{Subnets: []store.Subnet{{Subnet: netip.MustParsePrefix("10.0.0.0/8")}}})
	if _, err := freeSubnet(userPools[:1], 24, taken); !errors.Is(err, errNoSubnet) {
		t.Errorf("no room gives %v", err)
	}
}

func TestHostRoutes(t *testing.T) {
	t.Parallel()
	four := parseRoutes4([]byte("Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n" + "tun0\t00000080\t0\t1\t0\t0\t0\t00000080\n" + "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n" + "x\ty\n"))
	if fmt.Sprint(four) != "[192.0.2.0/24]" {
		t.Errorf("the routes are %v", four)
	}
	six := parseRoutes6([]byte("fd000001000000000000000000000000 40 0 0 0 0 0 0 0     eth0\nfe800000000000000000000000000000 40 0 0 0 0 0 0 0 eth0\n" +
		"00000000000000000000000000000000 00 0 0 0 0 0 0 0 eth0\nff000000000000000000000000000000 08 0 0 0 0 0 0 0 eth0\n"))
	if fmt.Sprint(six) != "[fd00:1::/64]" {
		t.Errorf("the routes are %v", six)
	}
}

// What every start with the default network pays, with its lease given back.
func BenchmarkPlan(b *testing.B) {
	s := newStore(b)
	r := newContainer(b, s, store.EndpointConfig{Network: "bridge"})
	for b.Loop() {
		a, err := Plan(s, r)
		if err != nil {
			b.Fatal(err)
		}
		release(s, a)
	}
}

// What stands against networks is said with what mends it.
func TestProbe(t *testing.T) {
	t.Parallel()
	err := probe(t.TempDir() + "/tun")
	var host *userns.HostError
	if !errors.As(err, &host) || !strings.Contains(host.Hint, "--network none") {
		t.Errorf("no device gives %v", err)
	}
	if err := probe(t.TempDir()); err != nil {
		t.Errorf("one that can be opened gives %v", err)
	}
}
