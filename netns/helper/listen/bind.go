package listen

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Options are what Bind knows beyond the wishes.
type Options struct {
	// Have are sockets that exist: a wish that one of them fits gets that.
	Have []*Socket
	// Before are ports as an earlier process had them bound: where any port will do,
	// it is that one again if it is free.
	Before []store.Port
	// Owner names the container of skiff's that has an address, or is "".
	Owner func(protocol string, addr netip.AddrPort) string
}

// ThisContainer is named where two wishes of one container exclude each other.
const ThisContainer = "itself"

// Bind makes a socket for each wish, in their order: all or none. The errors are
// words for the user, a *userns.HostError where a hint would mend it.
func Bind(want []store.Port, o Options) ([]*Socket, error) {
	var all, made []*Socket
	used := map[*Socket]bool{}
	others := o.Owner
	o.Owner = func(protocol string, addr netip.AddrPort) string {
		for _, s := range all {
			if s.Excludes(protocol, addr) {
				return ThisContainer
			}
		}
		if others != nil {
			return others(protocol, addr)
		}
		return ""
	}
	for _, w := range want {
		s, err := find(w, o.Have, used)
		if s == nil && err == nil {
			if s, err = bind(w, &o); err == nil {
				made = append(made, s)
			}
		}
		if err != nil {
			CloseAll(made)
			return nil, err
		}
		s.Port = w
		s.Port.HostPort, s.Port.HostPortEnd = s.Addr.Port(), 0
		used[s] = true
		all = append(all, s)
	}
	return all, nil
}

// find looks for a socket that fits a wish.
func find(w store.Port, have []*Socket, used map[*Socket]bool) (*Socket, error) {
	addr, both, err := address(w)
	if err != nil {
		return nil, err
	}
	for _, s := range have {
		if used[s] || s.Port.Protocol != w.Protocol || s.Both != both && !both || s.Port.ContainerPort != 0 && s.Port.ContainerPort != w.ContainerPort {
			continue
		}
		if s.Addr.Addr() == addr && fits(w, s.Addr.Port()) {
			return s, nil
		}
	}
	return nil, nil
}

// fits tells whether a wish is content with a port.
func fits(w store.Port, port uint16) bool {
	return w.HostPort == 0 || port >= w.HostPort && port <= max(w.HostPort, w.HostPortEnd)
}

// address is where a wish wants to be bound, and whether in both families.
func address(w store.Port) (addr netip.Addr, both bool, err error) {
	if w.HostIP == "" {
		return netip.IPv6Unspecified(), true, nil
	}
	if addr, err = netip.ParseAddr(w.HostIP); err != nil {
		return addr, false, fmt.Errorf("publishing port %s: %q is not an IP address", number(w, w.HostPort), w.HostIP)
	}
	return addr.Unmap(), false, nil
}

// bind makes the socket for a wish.
func bind(w store.Port, o *Options) (*Socket, error) {
	addr, both, err := address(w)
	if err != nil {
		return nil, err
	}
	if w.Protocol != "tcp" && w.Protocol != "udp" {
		return nil, fmt.Errorf("publishing port %s: only tcp and udp ports can be published", number(w, w.HostPort))
	}
	if w.HostPort == 0 || w.HostPortEnd > w.HostPort {
		if s := again(w, addr, both, o.Before); s != nil {
			return s, nil
		}
	}
	at := netip.AddrPortFrom(addr, w.HostPort)
	for port := int(w.HostPort); port <= int(max(w.HostPort, w.HostPortEnd)); port++ {
		at = netip.AddrPortFrom(addr, uint16(port))
		s, openErr := openAny(w.Protocol, at, both)
		if openErr == nil {
			return s, nil
		}
		err = openErr
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, explain(w, at, err, o.Owner)
}

// again tries the ports that an earlier process had for this wish.
func again(w store.Port, addr netip.Addr, both bool, before []store.Port) *Socket {
	for _, b := range before {
		if b.ContainerPort != w.ContainerPort || b.Protocol != w.Protocol || !fits(w, b.HostPort) || !both && b.HostIP != addr.String() {
			continue
		}
		if s, err := openAny(w.Protocol, netip.AddrPortFrom(addr, b.HostPort), both); err == nil {
			return s
		}
	}
	return nil
}

// openAny is open; a machine without IPv6 has both families' sockets in one.
func openAny(protocol string, addr netip.AddrPort, both bool) (*Socket, error) {
	s, err := open(protocol, addr, both)
	if both && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return open(protocol, netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), false)
	}
	return s, err
}

func number(w store.Port, port uint16) string { return fmt.Sprintf("%d/%s", port, w.Protocol) }
