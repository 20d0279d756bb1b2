package netns

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// Plan gives a container its place in the networks that it wants, addresses and
// all, for one start; nil where it has none of skiff's networks. The caller holds
// the container's start lock, writes the result by [store.WriteAttachment] and sees
// to [store.Store.ReleaseAll] at the end. Where Plan fails it keeps no address.
func Plan(s *store.Store, r *store.Record) (a *store.Attachment, err error) {
	mode := Mode(r.HostConfig.NetworkMode)
	if !mode.Served() {
		return nil, nil
	}
	h := &r.HostConfig
	a = &store.Attachment{
		Container: r.ID, Name: r.Name, Hostname: r.Config.Hostname,
		DNS: store.DNS{Servers: h.DNS, Search: h.DNSSearch, Options: h.DNSOptions},
	}
	if driver, options := mode.Driver(); driver != "" {
		a.Driver, a.Options = driver, driverOptions(driver, options)
		return a, nil
	}
	if err := Probe(); err != nil {
		return nil, err
	}
	wanted, err := s.Wanted(r)
	if err != nil {
		return nil, err
	}
	var told []string
	for _, want := range wanted {
		told = append(told, want.DriverOpts[OptionInterface])
	}
	for i, want := range wanted {
		if i == 0 {
			want.Links = append(slices.Clip(want.Links), h.Links...)
		}
		if err := join(s, a, want, told); err != nil {
			release(s, a)
			return nil, err
		}
	}
	return a, nil
}

func release(s *store.Store, a *store.Attachment) {
	for i := range a.Endpoints {
		Leave(s, a.Container, &a.Endpoints[i])
	}
}

// Leave gives the addresses of an endpoint back.
func Leave(s *store.Store, container string, e *store.Endpoint) {
	s.Release(e.Network, e.IPv4.Addr(), container)
	s.Release(e.Network, e.IPv6.Addr(), container)
}

// Join adds a place in one network to an attachment, and leases its addresses.
func Join(s *store.Store, a *store.Attachment, want store.EndpointConfig) error {
	return join(s, a, want, nil)
}

// join is Join where told are names of interfaces that others have asked for.
func join(s *store.Store, a *store.Attachment, want store.EndpointConfig, told []string) error {
	n, err := Network(s, want.Network)
	if err != nil {
		return err
	}
	if n.DisableDNS && len(want.Aliases)+len(want.Links) > 0 {
		return fmt.Errorf("joining network %q: it was made with --disable-dns, so neither aliases nor links have a meaning there", n.Name)
	}
	e := store.Endpoint{
		Network: n.Name, NetworkID: n.ID, ID: store.NewID(), MAC: want.MacAddress,
		Aliases: want.Aliases, Priority: want.GwPriority, Options: want.DriverOpts,
	}
	if e.Interface, err = interfaceName(a, want.DriverOpts[OptionInterface], told); err != nil {
		return fmt.Errorf("joining network %q: %w", n.Name, err)
	}
	for _, link := range want.Links {
		if e.Links == nil {
			e.Links = map[string]string{}
		}
		name, alias := SplitLink(link)
		e.Links[alias] = name
	}
	if err := addresses(s, a.Container, n, &e, want.IPAMConfig); err != nil {
		return err
	}
	if e.MAC == "" {
		e.MAC = macOf(&e)
	}
	a.HostLoopback = a.HostLoopback || reachesLoopback(&e, n)
	a.Endpoints = append(a.Endpoints, e)
	return nil
}

// Depart takes a place in a network out of an attachment. Its addresses are kept
// until [Leave].
func Depart(s *store.Store, a *store.Attachment, network string) {
	a.Endpoints = slices.DeleteFunc(a.Endpoints, func(e store.Endpoint) bool { return e.Network == network })
	a.HostLoopback = slices.ContainsFunc(a.Endpoints, func(e store.Endpoint) bool {
		n, err := s.Network(e.Network)
		return err == nil && reachesLoopback(&e, n)
	})
}

// reachesLoopback tells whether the host's loopback services are open by this place.
func reachesLoopback(e *store.Endpoint, n *store.Network) bool {
	return e.Options[OptionHostLoopback] == "true" || n.Options[OptionHostLoopback] == "true"
}

// addresses leases what the network has of each family.
func addresses(s *store.Store, container string, n *store.Network, e *store.Endpoint, asked *store.EndpointIPAM) (err error) {
	var want4, want6 netip.Addr
	if asked != nil {
		want4, _ = netip.ParseAddr(asked.IPv4Address) // checked when the container was created
		want6, _ = netip.ParseAddr(asked.IPv6Address)
	}
	e.Static = want4.IsValid() || want6.IsValid()
	switch {
	case want4.IsValid() && !n.EnableIPv4():
		return &userns.HostError{
			What: fmt.Sprintf("giving address %s: network %q has no IPv4", want4, n.Name),
			Hint: "skiff network create without --ipv4=false makes one that has",
		}
	case want6.IsValid() && !n.EnableIPv6:
		return &userns.HostError{
			What: fmt.Sprintf("giving address %s: network %q has no IPv6", want6, n.Name),
			Hint: "skiff network create --ipv6 makes one that has",
		}
	}
	if n.EnableIPv4() {
		if e.IPv4, e.Gateway4, err = lease(s, n, true, want4, container); err != nil {
			return err
		}
	}
	if n.EnableIPv6 {
		if e.IPv6, e.Gateway6, err = lease(s, n, false, want6, container); err != nil {
			s.Release(n.Name, e.IPv4.Addr(), container)
		}
	}
	return err
}

// interfaceName is the one asked for, else the first of eth0, eth1, … that is free
// and that nobody asks for.
func interfaceName(a *store.Attachment, asked string, told []string) (string, error) {
	taken := func(name string) bool {
		return slices.ContainsFunc(a.Endpoints, func(e store.Endpoint) bool { return e.Interface == name })
	}
	if asked != "" {
		if taken(asked) {
			return "", fmt.Errorf("interface name %q is given to two networks", asked)
		}
		return asked, nil
	}
	for i := 0; ; i++ {
		if name := "eth" + strconv.Itoa(i); !taken(name) && !slices.Contains(told, name) {
			return name, nil
		}
	}
}

// macOf derives a MAC address from an IPv4 address, as Docker did for long, else from all of
// the IPv6 one: locally administered, and the same whenever the address is, so that no
// neighbour's cache is stale.
func macOf(e *store.Endpoint) string {
	if e.IPv4.IsValid() {
		return net.HardwareAddr(append([]byte{0x02, 0x42}, e.IPv4.Addr().AsSlice()...)).String()
	}
	sum := sha256.Sum256(e.IPv6.Addr().AsSlice())
	return net.HardwareAddr(append([]byte{0x02}, sum[:5]...)).String()
}
