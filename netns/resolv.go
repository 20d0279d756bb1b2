package netns

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// hostResolv is the host's own configuration, on systemd's machines a link.
const hostResolv = "/etc/resolv.conf"

// ResolvConf is what resolv.conf(5) says. Of "search" and "domain" the last counts.
type ResolvConf struct {
	Servers []netip.Addr // with a zone perhaps
	Search  []string
	Options []string
}

// Bounds of what is taken from a resolv.conf: no resolver uses more.
const (
	maxServers = 16
	maxWords   = 64
)

// ParseResolv reads a resolv.conf as resolvers do: what it does not understand it passes over.
func ParseResolv(text string) ResolvConf {
	var c ResolvConf
	for line := range strings.Lines(text) {
		if at := strings.IndexAny(line, "#;"); at >= 0 && (at == 0 || line[at-1] == ' ' || line[at-1] == '\t') {
			line = line[:at]
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		words := fields[1:min(len(fields), 1+maxWords)]
		switch fields[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(words[0]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, addr.Unmap())
			}
		case "domain":
			c.Search = words[:1]
		case "search":
			c.Search = words
		case "options":
			if len(c.Options)+len(words) <= maxWords {
				c.Options = append(c.Options, words...)
			}
		}
	}
	return c
}

// NameServers are the addresses at which the network helper answers a container: the
// gateway's of its first network that has one. It is one address where it can be, as
// some resolvers ask all at once. Networks are by name, one for each endpoint. Where
// another program connects the container, it is the one that answers.
func NameServers(a *store.Attachment, networks map[string]*store.Network) []netip.Addr {
	if server := ProgramServer(a); server.IsValid() {
		return []netip.Addr{server}
	}
	for _, e := range a.Endpoints {
		n := networks[e.Network]
		if n == nil {
			continue
		}
		for _, own := range []netip.Prefix{e.IPv4, e.IPv6} {
			for _, s := range n.Subnets {
				if own.IsValid() && s.Gateway.IsValid() && s.Subnet.Contains(own.Addr()) {
					return []netip.Addr{s.Gateway}
				}
			}
		}
	}
	return nil
}

// Resolv is the content of a container's /etc/resolv.conf. Servers are those of a
// program that serves the container's networks ([NameServers]), which asks
// the container's own or the host's where it does not know. Without any it is the host's file, with dns
// in the place of what it says. A host without the file gives one of the rest.
func Resolv(servers []netip.Addr, dns store.DNS) ([]byte, error) {
	text, err := os.ReadFile(hostResolv)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(servers) == 0 && len(dns.Servers)+len(dns.Search)+len(dns.Options) == 0 {
		return text, nil
	}
	return resolv(ParseResolv(string(text)), servers, dns), nil
}

// resolv is Resolv for a host that has c.
func resolv(c ResolvConf, servers []netip.Addr, dns store.DNS) []byte {
	options := slices.Clone(dns.Options)
	if len(options) == 0 {
		options = slices.Clone(c.Options)
		if len(servers) > 0 {
			// The helper minds these itself; a resolver that waits for less than it does gives up too soon.
			options = slices.DeleteFunc(options, func(o string) bool {
				return o == "rotate" || strings.HasPrefix(o, "timeout:") || strings.HasPrefix(o, "attempts:")
			})
		}
	}
	if len(servers) > 0 && !slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
		// A container's name has no dot: it is asked for as it is before the search
		// list is tried, where a domain that answers to every name would catch it.
		options = append(options, "ndots:0")
	}
	search := dns.Search
	if len(search) == 0 {
		search = c.Search
	}
	if slices.Contains(search, ".") {
		search = nil
	}
	var b strings.Builder
	for _, s := range serverLines(c, servers, dns) {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(search) > 0 {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	if len(options) > 0 {
		b.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return []byte(b.String())
}

// serverLines are the name servers in their order. Of the container's own those at a
// loopback address are within the container: the helper cannot ask them, its
// resolver does. The helper stands in the place of the others.
func serverLines(c ResolvConf, servers []netip.Addr, dns store.DNS) []string {
	var lines []string
	helper := func() {
		for _, s := range servers {
			if !slices.Contains(lines, s.String()) {
				lines = append(lines, s.String())
			}
		}
	}
	for _, s := range dns.Servers {
		if addr, err := netip.ParseAddr(s); len(servers) == 0 || err == nil && addr.IsLoopback() {
			lines = append(lines, s)
		} else {
			helper()
		}
	}
	if len(dns.Servers) > 0 {
		return lines
	}
	helper()
	if len(servers) == 0 {
		for _, s := range c.Servers {
			lines = append(lines, s.String())
		}
	}
	return lines
}
