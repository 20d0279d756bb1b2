package dns

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dialInside makes a socket in N that is connected to a container. It is
// transparent, as the firewall of N lets answers to those in.
func (s *Server) dialInside(to netip.AddrPort, stream bool, deadline time.Time) (connection, error) {
	var fd int
	err := s.n.Do(func() (err error) {
		fd, err = connectInside(to, stream)
		return err
	})
	if err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	f := os.NewFile(uintptr(fd), "dns:"+to.String()) // non-blocking: the poller has it
	if stream {
		f.SetDeadline(deadline)
		done := s.cutShort(f)
		err = connected(f)
		done()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// connectInside begins to connect a socket of the calling thread's namespace.
func connectInside(to netip.AddrPort, stream bool) (fd int, err error) {
	kind := unix.SOCK_DGRAM
	if stream {
		kind = unix.SOCK_STREAM
	}
	var address unix.Sockaddr
	family, level, option := unix.AF_INET, unix.SOL_IP, unix.IP_TRANSPARENT
	if to.Addr().Is4() {
		address = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		family, level, option = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT
		address = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	if fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(fd, level, option, 1); err == nil {
		if err = unix.Connect(fd, address); err == unix.EINPROGRESS {
			err = nil
		}
	}
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// connected waits for a connection to be there, or not to be.
func connected(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Write(func(fd uintptr) bool {
		if _, err := unix.Getpeername(int(fd)); err == nil {
			return true
		}
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = unix.Errno(errno)
		}
		failure = err
		return err != nil
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", failure)
}
