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
