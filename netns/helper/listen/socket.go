// Package listen makes the sockets of published ports, in the network namespace of
// the calling thread, and tells in words why one cannot be had.
package listen

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Socket is a listening TCP or a bound UDP socket of the host's.
type Socket struct {
	FD   int            // non-blocking
	Addr netip.AddrPort // where it is bound
	Both bool           // it has Addr's port in both families; Addr is then [::]
	// Port is what it was made for, with the host's real port; ContainerPort is 0 for
	// one that another process made.
	Port store.Port
}

// Bound describes the socket as docker does: one entry for each family.
func (s *Socket) Bound() []store.Port {
	p := s.Port
	p.HostPort, p.HostPortEnd = s.Addr.Port(), 0
	if !s.Both {
		p.HostIP = s.Addr.Addr().String()
		return []store.Port{p}
	}
	four, six := p, p
	four.HostIP, six.HostIP = "0.0.0.0", "::"
	return []store.Port{four, six}
}

// Excludes tells whether no other socket can be bound at an address while this one is.
func (s *Socket) Excludes(protocol string, addr netip.AddrPort) bool {
	return s.Port.Protocol == protocol && s.Addr.Port() == addr.Port() && overlap(s.Addr.Addr(), addr.Addr())
}

// Close closes the socket.
func (s *Socket) Close() { unix.Close(s.FD) }

// CloseAll closes several.
func CloseAll(all []*Socket) {
	for _, s := range all {
		s.Close()
	}
}

// backlog is how many connections may wait to be accepted; the kernel cuts it to net.core.somaxconn.
const backlog = 4096

// Whoever has vanished without a word is found within two and a half minutes.
const (
	keepIdle     = 75 // seconds
	keepInterval = 15 // seconds
	keepCount    = 5
)

// datagramBuffer is what is asked for as a UDP socket's receive buffer; the kernel
// cuts it to net.core.rmem_max.
const datagramBuffer = 4 << 20

// open makes a socket and binds it. A port of 0 is any free one.
func open(protocol string, addr netip.AddrPort, both bool) (*Socket, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	kind := unix.SOCK_STREAM
	if protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if family == unix.AF_INET6 {
		only := 1
		if both {
			only = 0
		}
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, only)
	}
	if err == nil && kind == unix.SOCK_STREAM {
		// Connections of the last one may be in TIME_WAIT; two that listen still exclude each other.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, Sockaddr(addr))
	}
	if err == nil {
		err = prepare(fd, kind, family)
	}
	if err == nil {
		addr, err = local(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Socket{FD: fd, Addr: addr, Both: both}, nil
}

// prepare sets what the sockets that a listener accepts take over from it, and has
// datagrams say which address they were sent to.
func prepare(fd, kind, family int) error {
	if kind == unix.SOCK_STREAM {
		for _, o := range []struct{ level, name, value int }{
			{unix.SOL_TCP, unix.TCP_NODELAY, 1},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.SOL_TCP, unix.TCP_KEEPIDLE, keepIdle},
			{unix.SOL_TCP, unix.TCP_KEEPINTVL, keepInterval},
			{unix.SOL_TCP, unix.TCP_KEEPCNT, keepCount},
		} {
			if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
				return err
			}
		}
		return unix.Listen(fd, backlog)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, datagramBuffer) // a wish
	// What does not fit a link's MTU is cut, as a container expects of its own datagrams on the way out.
	unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	if family == unix.AF_INET6 {
		unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1)
}

// Inherit takes over sockets that another process bound with [Bind] and passed on:
// an earlier helper, which had ports that this one may not bind.
func Inherit(files []*os.File) ([]*Socket, error) {
	var all []*Socket
	for _, f := range files {
		s, err := inherit(int(f.Fd()))
		if err != nil {
			CloseAll(all)
			return nil, fmt.Errorf("taking over a published port: %w", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// Privileged are those of the sockets that only the host's root could bind, for another process.
func Privileged(all []*Socket) ([]*os.File, error) {
	first := unprivileged()
	var files []*os.File
	for _, s := range all {
		if int(s.Addr.Port()) >= first {
			continue
		}
		fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("passing on port %d: %w", s.Addr.Port(), err)
		}
		files = append(files, os.NewFile(uintptr(fd), s.Addr.String()))
	}
	return files, nil
}

func inherit(theirs int) (*Socket, error) {
	fd, err := unix.FcntlInt(uintptr(theirs), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &Socket{FD: fd, Port: store.Port{Protocol: "tcp"}}
	if s.Addr, err = local(fd); err == nil {
		err = unix.SetNonblock(fd, true)
	}
	kind, kindErr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil {
		err = kindErr
	}
	if err == nil && s.Addr.Addr() == netip.IPv6Unspecified() {
		var only int
		only, err = unix.GetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY)
		s.Both = only == 0
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if kind == unix.SOCK_DGRAM {
		s.Port.Protocol = "udp"
	}
	return s, nil
}

func local(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return AddrPort(sa), nil
}

// AddrPort reads a socket's address; zero where it is not an internet one.
func AddrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// Sockaddr is the reverse of [AddrPort].
func Sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
