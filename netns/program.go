package netns

import (
	"net/netip"

	"github.com/skiff-containers/skiff/store"
)

// ProgramServer is the address at which the other program that connects a container
// answers name queries with what the host resolves; zero where none connects it.
// slirp4netns takes the third address of its network, pasta is told one of nobody's.
func ProgramServer(a *store.Attachment) netip.Addr {
	switch a.Driver {
	case kindPasta:
		return netip.AddrFrom4([4]byte{169, 254, 1, 1})
	case kindSlirp:
		if p, err := netip.ParsePrefix(a.Options["cidr"]); err == nil {
			return p.Masked().Addr().Next().Next().Next()
		}
		return netip.AddrFrom4([4]byte{10, 0, 2, 3})
	}
	return netip.Addr{}
}

// ProgramPorts spells out where such a program listens for ports without an address,
// slirp4netns on IPv4 only. Ports of other modes are returned as they are.
func ProgramPorts(m Mode, ports []store.Port) []store.Port {
	var everywhere []string
	switch program, _ := m.Driver(); program {
	case kindPasta:
		everywhere = []string{"0.0.0.0", "::"}
	case kindSlirp:
		everywhere = []string{"0.0.0.0"}
	default:
		return ports
	}
	var all []store.Port
	for _, p := range ports {
		if p.HostIP != "" {
			all = append(all, p)
			continue
		}
		for _, p.HostIP = range everywhere {
			all = append(all, p)
		}
	}
	return all
}
