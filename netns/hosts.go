package netns

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
)

// loopbackHosts is what every hosts(5) file begins with, as Docker writes it.
const loopbackHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`

// HostNames are what a container may call the host: Docker's names and podman's.
var HostNames = []string{"host.docker.internal", "host.containers.internal", "gateway.docker.internal"}

// Hosts is the content of a container's /etc/hosts: the loopback names, or the
// host's own file where its network is shared; extra, which is --add-host as
// [Request] has it; the container's own names at each of its addresses; and
// [HostNames]. Without networks (a is nil, or says that another program connects the container) the own
// name stands for the loopback address.
//
// Names of other containers do not stand here, those of --link neither: the name
// server knows them, and knows when they change.
func Hosts(m Mode, hostname string, a *store.Attachment, extra []string) []byte {
	text := []byte(loopbackHosts)
	if m == Host {
		if own, err := os.ReadFile("/etc/hosts"); err == nil {
			text = own
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	host := hostSeenBy(m, a)
	for _, entry := range extra {
		name, addr, _ := strings.Cut(entry, ":") // an IPv6 address has the further ones
		if addr == HostGateway {
			addr = host.String()
		}
		text = append(text, addr+"\t"+name+"\n"...)
	}
	text = ownNames(text, hostname, a)
	var unnamed []string
	for _, name := range HostNames {
		if !names(text, name) {
			unnamed = append(unnamed, name)
		}
	}
	if len(unnamed) > 0 {
		text = append(text, host.String()+"\t"+strings.Join(unnamed, " ")+"\n"...)
	}
	return text
}

// ownNames adds what a container is called itself: hostname, its first label, and
// the container's name.
func ownNames(text []byte, hostname string, a *store.Attachment) []byte {
	short, _, _ := strings.Cut(hostname, ".")
	if a == nil || len(a.Endpoints) == 0 {
		if hostname == "" || names(text, hostname) {
			return text
		}
		if short != hostname && short != "" {
			hostname += " " + short
		}
		return append(text, "127.0.0.1\t"+hostname+"\n"...)
	}
	var own []string
	for _, name := range []string{hostname, short, a.Name} {
		if name != "" && !slices.Contains(own, name) {
			own = append(own, name)
		}
	}
	if len(own) == 0 {
		return text
	}
	for _, e := range a.Endpoints {
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() {
				text = append(text, p.Addr().String()+"\t"+strings.Join(own, " ")+"\n"...)
			}
		}
	}
	return text
}

// hostSeenBy is where a container finds the host: in networks of skiff's the one
// address that the helper leads there. It is the same without any network, where
// nothing is reached by it. A container in the host's network is at the host itself,
// and has no way to the other address: there it is the loopback address.
func hostSeenBy(m Mode, a *store.Attachment) netip.Addr {
	if m == Host {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if kind, _ := m.kind(); kind == kindSlirp {
		// slirp4netns(1): the host is the second address of its network.
		cidr := "10.0.2.0/24"
		if a != nil && a.Options["cidr"] != "" {
			cidr = a.Options["cidr"]
		}
		if p, err := netip.ParsePrefix(cidr); err == nil {
			return p.Masked().Addr().Next().Next()
		}
	}
	return member.HostAddress
}

// names tells whether a hosts file has a line for a name.
func names(text []byte, hostname string) bool {
	for line := range bytes.Lines(text) {
		before, _, _ := strings.Cut(string(line), "#")
		if fields := strings.Fields(before); len(fields) > 1 && slices.Contains(fields[1:], hostname) {
			return true
		}
	}
	return false
}
