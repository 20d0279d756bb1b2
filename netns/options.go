package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// Options are what the flags of run and create ask of networks, as they were given.
type Options struct {
	Networks     []string // --network
	IPv4         string   // --ip; this and what follows up to Links is for the first network
	IPv6         string   // --ip6
	MAC          string   // --mac-address
	Aliases      []string // --network-alias
	LinkLocalIPs []string // --link-local-ip
	Links        []string // --link
	DNS          []string // --dns
	DNSSearch    []string // --dns-search
	DNSOptions   []string // --dns-option
	Hosts        []string // --add-host
	Sysctls      []string // --sysctl
	Hostname     bool     // whether --hostname was given
}

// Request is what Options mean.
type Request struct {
	Mode      Mode
	Endpoints []store.EndpointConfig // in the order asked; networks are names or ids still, to be looked up
	DNS       store.DNS
	Hosts     []string // name:address
	Links     []string
	Sysctls   map[string]string
}

// Parse reads the options and refuses what contradicts itself, in Docker's words.
func (o *Options) Parse() (*Request, error) {
	r := &Request{}
	if err := o.networks(r); err != nil {
		return nil, err
	}
	var err error
	if r.DNS, err = parseDNS(o.DNS, o.DNSSearch, o.DNSOptions); err != nil {
		return nil, err
	}
	if r.Hosts, err = parseHosts(o.Hosts); err != nil {
		return nil, err
	}
	for _, link := range o.Links {
		if err := checkLink(link); err != nil {
			return nil, err
		}
	}
	r.Links = o.Links
	if r.Sysctls, err = parseSysctls(o.Sysctls, r.Mode); err != nil {
		return nil, err
	}
	if err := o.conflict(r.Mode); err != nil {
		return nil, err
	}
	if len(r.Endpoints) > 0 {
		return r, o.first(&r.Endpoints[0])
	}
	return r, nil
}

// networks reads --network.
func (o *Options) networks(r *Request) error {
	var asked []string
	for _, text := range o.Networks {
		if text == "" {
			continue // as docker has it: --network "$NETWORK" without such a variable
		}
		asked = append(asked, splitNames(text)...)
	}
	if len(asked) == 0 {
		asked = []string{string(Default)}
	}
	names := map[string]bool{}
	for i, text := range asked {
		mode, endpoint, err := parseNetwork(text)
		if err != nil {
			return err
		}
		if i == 0 {
			r.Mode = mode
		}
		switch {
		case names[string(mode)]:
			return fmt.Errorf("network %q is specified multiple times", mode)
		case i > 0 && !(mode.Networks() && r.Mode.Networks()):
			return errors.New("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		case mode.Networks():
			r.Endpoints = append(r.Endpoints, *endpoint)
		}
		names[string(mode)] = true
	}
	return nil
}

// first joins the flags that concern the first network with what stood in --network itself.
func (o *Options) first(e *store.EndpointConfig) error {
	twice := func(flag, what string) error {
		return fmt.Errorf("conflicting options: cannot specify both %s and per-network %s", flag, what)
	}
	own := e.IPAMConfig
	if own == nil {
		own = &store.EndpointIPAM{}
	}
	switch {
	case len(o.LinkLocalIPs) > 0:
		return errLinkLocal
	case o.IPv4 != "" && own.IPv4Address != "":
		return twice("--ip", "IPv4 address")
	case o.IPv6 != "" && own.IPv6Address != "":
		return twice("--ip6", "IPv6 address")
	case o.MAC != "" && e.MacAddress != "":
		return twice("--mac-address", "MAC address")
	case len(o.Aliases) > 0 && len(e.Aliases) > 0:
		return twice("--network-alias", "alias")
	}
	for _, f := range []struct{ key, value string }{{"ip", o.IPv4}, {"ip6", o.IPv6}, {"mac-address", o.MAC}} {
		if f.value == "" {
			continue
		}
		if err := setEndpoint(e, f.key, f.value); err != nil {
			return err
		}
	}
	for _, alias := range o.Aliases {
		if err := setEndpoint(e, "alias", alias); err != nil {
			return err
		}
	}
	return nil
}

// Endpoint reads what `network connect` asks of a place in a network.
func (o *Options) Endpoint(network string, driverOpts []string, priority int) (*store.EndpointConfig, error) {
	e := &store.EndpointConfig{Network: network, GwPriority: priority}
	for _, opt := range driverOpts {
		if err := setEndpoint(e, "driver-opt", opt); err != nil {
			return nil, err
		}
	}
	for _, link := range o.Links {
		if err := checkLink(link); err != nil {
			return nil, err
		}
	}
	e.Links = o.Links
	return e, o.first(e)
}

// conflict refuses what a mode without networks of skiff's cannot give.
func (o *Options) conflict(m Mode) error {
	shared := m.Container() != ""
	switch {
	case len(o.Links) > 0 && m == Host:
		return errors.New("conflicting options: host type networking can't be used with links: there are no names of containers")
	case len(o.Links) > 0 && shared:
		return errors.New("conflicting options: container type network can't be used with links: the other container's names are what there is")
	case len(o.Links) > 0 && !m.Networks():
		return fmt.Errorf("conflicting options: links and the network mode %q", m)
	case o.Hostname && shared:
		return errors.New("conflicting options: hostname and the network mode")
	case len(o.DNS)+len(o.DNSSearch)+len(o.DNSOptions) > 0 && shared:
		return errors.New("conflicting options: dns and the network mode")
	case len(o.Hosts) > 0 && shared:
		return errors.New("conflicting options: custom host-to-IP mapping and the network mode")
	case m.Networks():
		return nil
	case o.MAC != "":
		return errors.New("conflicting options: mac-address and the network mode")
	case o.IPv4 != "" || o.IPv6 != "" || len(o.LinkLocalIPs) > 0:
		return errors.New("invalid config for network " + string(m) + ": user specified IP address is supported on networks of skiff's only")
	case len(o.Aliases) > 0:
		return errors.New("invalid config for network " + string(m) + ": network-scoped aliases are only supported for networks of skiff's")
	}
	return nil
}

// errLinkLocal: the kernel gives a container its link-local addresses.
var errLinkLocal = errors.New("link-local addresses cannot be chosen: the container has those that the kernel gives it")

// parseDNS checks --dns, --dns-search and --dns-option.
func parseDNS(servers, search, options []string) (store.DNS, error) {
	for _, server := range servers {
		if _, err := netip.ParseAddr(server); err != nil {
			return store.DNS{}, fmt.Errorf("invalid --dns %q: IP address is not correctly formatted", server)
		}
	}
	for _, domain := range search {
		if domain != "." && !validDomain(domain) {
			return store.DNS{}, fmt.Errorf("invalid --dns-search %q: not a domain", domain)
		}
	}
	for _, option := range options {
		if option == "" || strings.ContainsFunc(option, unprintable) {
			return store.DNS{}, fmt.Errorf("invalid --dns-option %q", option)
		}
	}
	return store.DNS{Servers: servers, Search: search, Options: options}, nil
}

// validDomain is wider than RFC 1123, as resolvers are: what it keeps out would
// break the line of a file, or is longer than a name can be (RFC 1035, 2.3.4).
func validDomain(text string) bool {
	text = strings.TrimSuffix(text, ".")
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return unprintable(r) || strings.ContainsRune("#;\\/:,", r) }) {
			return false
		}
	}
	return true
}

// unprintable are what may stand in no word of a file that is read by words.
func unprintable(r rune) bool { return r <= ' ' || r == 0x7f }

// HostGateway stands for the host in --add-host.
const HostGateway = "host-gateway"

// parseHosts reads --add-host: name:address or name=address, several names by ";" as
// podman has it, IPv6 in brackets or not.
func parseHosts(specs []string) ([]string, error) {
	var all []string
	for _, spec := range specs {
		at := strings.IndexAny(spec, ":=")
		if at <= 0 {
			return nil, fmt.Errorf("bad format for add-host: %q", spec)
		}
		names, text := spec[:at], spec[at+1:]
		if text != HostGateway {
			if bare, ok := strings.CutPrefix(text, "["); ok {
				text = strings.TrimSuffix(bare, "]")
			}
			addr, err := netip.ParseAddr(text)
			if err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("invalid IP address in add-host: %q", text)
			}
			text = addr.String()
		}
		for name := range strings.SplitSeq(names, ";") {
			if !validDomain(name) {
				return nil, fmt.Errorf("bad format for add-host: %q", spec)
			}
			all = append(all, name+":"+text)
		}
	}
	return all, nil
}

// checkLink checks --link: container or container:alias.
func checkLink(link string) error {
	name, alias, found := strings.Cut(link, ":")
	if name == "" || found && !validDomain(alias) || strings.Contains(alias, ":") {
		return fmt.Errorf("bad format for links: %s", link)
	}
	return nil
}

// SplitLink parts a link into the container that is linked to and the name that it
// gets; without one, the container's own.
func SplitLink(link string) (container, alias string) {
	container, alias, _ = strings.Cut(link, ":")
	container = strings.TrimPrefix(container, "/")
	if alias == "" {
		alias = container
	}
	return container, alias
}

// parseSysctls reads --sysctl: name=value. Whether a container may set it at all is
// for the runtime to say; what is of the host's network is refused here.
func parseSysctls(specs []string, m Mode) (map[string]string, error) {
	all := map[string]string{}
	for _, spec := range specs {
		name, value, found := strings.Cut(spec, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" {
			return nil, fmt.Errorf("invalid --sysctl %q: expected name=value", spec)
		}
		if !m.Private() && slices.Contains([]string{"net.", "net/"}, name[:min(4, len(name))]) {
			if m == Host {
				return nil, fmt.Errorf("sysctl %q not allowed in host network namespace", name)
			}
			return nil, fmt.Errorf("sysctl %q not allowed in a network namespace that is another's", name)
		}
		all[name] = value
	}
	return all, nil
}
