package member

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// outside is an address of nobody's (RFC 5737): which of its own addresses the host
// would use for it is asked of the kernel, no packet is sent.
const outside = "192.0.2.1:9"

// freshness is how long an answer of hostAddr may be used again: each costs a socket.
const freshness = 100 * time.Millisecond

// known is the last answer of hostAddr for containers that may not use loopback.
type known struct{ last atomic.Pointer[answer] }

type answer struct {
	addr netip.Addr
	at   time.Time
}

// hostAddr is the package's, or what that has just said.
func (k *known) hostAddr(loopback bool) (netip.Addr, error) {
	if loopback {
		return hostAddr(true)
	}
	if a := k.last.Load(); a != nil && time.Since(a.at) < freshness {
		return a.addr, nil
	}
	at := time.Now()
	addr, err := hostAddr(false)
	if err == nil {
		k.last.Store(&answer{addr, at})
	}
	return addr, err
}

// hostAddr is the host as containers see it: its loopback address where they may use
// that, else the address that it shows to the world, found anew each time as it
// changes with every Wi-Fi. It must be called in the host's network namespace.
func hostAddr(loopback bool) (netip.Addr, error) {
	if loopback {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	conn, err := net.Dial("udp4", outside)
	if err == nil {
		defer conn.Close()
		addr := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		if !addr.IsLoopback() {
			return addr, nil
		}
	}
	// No way out: any address that a service of the host could be bound to.
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, ErrProhibited
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, ErrProhibited
}
