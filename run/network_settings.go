package run

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// NetworkSettings is Docker's NetworkSettings object.
type NetworkSettings struct {
	SandboxID  string
	SandboxKey string // the network namespace's file, while the container runs
	Ports      map[string][]store.PortBinding

	// Of the default network, as Docker has it; empty in others.
	EndpointID          string
	Gateway             string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	MacAddress          string

	Networks map[string]NetworkEndpoint

	// What skiff has no use for is as Docker prints it.
	Bridge                 string
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []string
	SecondaryIPv6Addresses []string
}

// NetworkEndpoint is a container's place in one network: Docker's EndpointSettings
// object. What the container is given is empty while it does not run.
type NetworkEndpoint struct {
	IPAMConfig          *store.EndpointIPAM
	Links               []string
	Aliases             []string
	MacAddress          string
	DriverOpts          map[string]string
	GwPriority          int
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	DNSNames            []string
}

// networkSettings says what a container asked of networks, and what it has of them
// where it runs.
func (e *Engine) networkSettings(c *store.Container, r *store.Record, state *store.State) (NetworkSettings, error) {
	s := NetworkSettings{Ports: portMap(c, r, state), Networks: map[string]NetworkEndpoint{}}
	if state.Alive() {
		s.SandboxID = c.ID
		s.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", state.Init.PID)
	}
	mode := netns.Mode(r.HostConfig.NetworkMode)
	if !mode.Networks() {
		switch {
		case slices.Contains(modeNetworks[:], mode):
			s.Networks[string(mode)] = NetworkEndpoint{NetworkID: modeSummary(mode).ID}
		case mode.Container() == "":
			s.Networks[string(mode)] = NetworkEndpoint{}
		}
		return s, nil
	}
	wanted, err := e.Store.Wanted(r)
	if err != nil {
		return s, err
	}
	for _, w := range wanted {
		n := NetworkEndpoint{
			IPAMConfig: w.IPAMConfig, Links: w.Links, Aliases: w.Aliases, MacAddress: w.MacAddress, DriverOpts: w.DriverOpts, GwPriority: w.GwPriority,
		}
		if there, err := e.Store.Network(w.Network); err == nil {
			n.NetworkID = there.ID
		}
		s.Networks[w.Network] = n
	}
	if a := e.attachment(c); a != nil {
		for i := range a.Endpoints {
			n := s.Networks[a.Endpoints[i].Network]
			n.tell(a, &a.Endpoints[i])
			s.Networks[a.Endpoints[i].Network] = n
		}
	}
	if n, ok := s.Networks[string(netns.Bridge)]; ok {
		s.EndpointID, s.MacAddress, s.IPAddress, s.IPPrefixLen, s.Gateway = n.EndpointID, n.MacAddress, n.IPAddress, n.IPPrefixLen, n.Gateway
		s.GlobalIPv6Address, s.GlobalIPv6PrefixLen, s.IPv6Gateway = n.GlobalIPv6Address, n.GlobalIPv6PrefixLen, n.IPv6Gateway
	}
	return s, nil
}

// tell adds what the container has.
func (n *NetworkEndpoint) tell(a *store.Attachment, e *store.Endpoint) {
	n.NetworkID, n.EndpointID, n.MacAddress = e.NetworkID, e.ID, e.MAC
	n.Gateway, n.IPv6Gateway = addrText(e.Gateway4), addrText(e.Gateway6)
	if e.IPv4.IsValid() {
		n.IPAddress, n.IPPrefixLen = e.IPv4.Addr().String(), e.IPv4.Bits()
	}
	if e.IPv6.IsValid() {
		n.GlobalIPv6Address, n.GlobalIPv6PrefixLen = e.IPv6.Addr().String(), e.IPv6.Bits()
	}
	n.DNSNames = append([]string{a.Name}, e.Aliases...)
	for _, name := range []string{a.Container[:12], a.Hostname} {
		if name != "" && !slices.Contains(n.DNSNames, name) {
			n.DNSNames = append(n.DNSNames, name)
		}
	}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// NetworkNames are the networks that a container is in when it runs, or the mode
// that it has in their place.
func (e *Engine) NetworkNames(r *store.Record) []string {
	mode := netns.Mode(r.HostConfig.NetworkMode)
	if !mode.Networks() {
		return []string{string(mode)}
	}
	wanted, err := e.Store.Wanted(r)
	if err != nil {
		return nil // damaged; the container can still be shown
	}
	var names []string
	for _, w := range wanted {
		names = append(names, w.Network)
	}
	return names
}

// inNetwork is the filter network= of ps: a name, an id, or the beginning of one.
func (e *Engine) inNetwork(ref string) func(*Summary) bool {
	if name, err := findNetwork(e.Store, ref); err == nil {
		ref = name
	}
	return func(s *Summary) bool { return slices.Contains(e.NetworkNames(s.Record), ref) }
}
