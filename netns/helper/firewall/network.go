package firewall

import (
	"fmt"
	"net"
	"net/netip"
)

// Network is what the firewall needs to know of a network.
type Network struct {
	Bridge   string       // its interface in N
	Gateways []netip.Addr // N's addresses there
	Internal bool         // the world is out of reach
	Open     bool         // talks to other open networks: isolate=false
	Separate bool         // its members may not talk to each other: enable_icc=false
}

// Network makes the rules of a network what they should be. It may be called again
// with another definition.
func (f *Firewall) Network(n Network) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.sets
	want := []element{entry(s.bridges, n.Bridge)}
	if !n.Internal {
		want = append(want, entry(s.outbound, n.Bridge))
		if n.Open {
			want = append(want, entry(s.open, n.Bridge))
		}
	}
	if !n.Separate {
		want = append(want, entry(s.within, n.Bridge, paddedName(n.Bridge)))
	}
	for _, gateway := range n.Gateways {
		set := s.gateways6
		if gateway = gateway.Unmap(); gateway.Is4() {
			set = s.gateways4
		}
		want = append(want, entry(set, n.Bridge, gateway.AsSlice()))
	}
	if err := f.replaceLocked(n.Bridge, want); err != nil {
		return fmt.Errorf("setting the firewall rules of %q: %w", n.Bridge, err)
	}
	return nil
}

// Forget removes the rules of a network.
func (f *Firewall) Forget(bridge string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.replaceLocked(bridge, nil); err != nil {
		return fmt.Errorf("removing the firewall rules of %q: %w", bridge, err)
	}
	return nil
}

// Source is an address on the wire, and the IP addresses that may be used with it.
type Source struct {
	MAC       net.HardwareAddr
	Addresses []netip.Addr
}

// Admit lets a port of a bridge send from these sources, and from no others. A source
// with an IPv6 address may use the link-local one that Linux makes from its MAC address as well.
func (f *Firewall) Admit(port string, sources ...Source) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bridge == nil {
		return nil
	}
	var want []element
	for _, source := range sources {
		mac := []byte(source.MAC)
		if len(mac) != 6 {
			return fmt.Errorf("admitting port %q: MAC address %q is not of 6 bytes", port, source.MAC)
		}
		local := false
		for _, addr := range source.Addresses {
			switch addr = addr.Unmap(); {
			case addr.Is4():
				want = append(want, entry(f.sets.sources4, port, mac, addr.AsSlice()))
			case addr.Is6():
				local = true
				want = append(want, entry(f.sets.sources6, port, mac, addr.WithZone("").AsSlice()))
			}
		}
		if local {
			want = append(want, entry(f.sets.sources6, port, mac, LinkLocal(source.MAC).AsSlice()))
		}
	}
	if err := f.replaceLocked(port, want); err != nil {
		return fmt.Errorf("admitting port %q: %w", port, err)
	}
	return nil
}

// Trunk lets a port send from any source: what comes in by it is others' to check.
func (f *Firewall) Trunk(port string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bridge == nil {
		return nil
	}
	if err := f.replaceLocked(port, []element{entry(f.sets.trunks, port)}); err != nil {
		return fmt.Errorf("admitting port %q: %w", port, err)
	}
	return nil
}

// Withdraw lets a port send nothing any more.
func (f *Firewall) Withdraw(port string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.replaceLocked(port, nil); err != nil {
		return fmt.Errorf("withdrawing port %q: %w", port, err)
	}
	return nil
}

// LinkLocal is the IPv6 address that Linux gives an interface by its MAC address of 6
// bytes (RFC 4291, appendix A).
func LinkLocal(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}
