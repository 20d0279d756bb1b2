package tcp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/sock"
)

// Connections are given up as dead after idle + count × interval seconds without a
// sign of life, which is 12 minutes.
const (
	keepIdle     = 300
	keepInterval = 60
	keepCount    = 7
)

// backlog is how many handshakes and connections may wait in N; the kernel cuts it
// to net.core.somaxconn.
const backlog = 65535

// errNoPort: no port was free in both families.
var errNoPort = errors.New("no port is free in both families")

// listen makes the listeners, at one port in both families. It runs in N.
func (p *Path) listen() error {
	for range 16 {
		l4, port, err := listener(unix.AF_INET, &unix.SockaddrInet4{})
		if err != nil {
			return err
		}
		l6, _, err := listener(unix.AF_INET6, &unix.SockaddrInet6{Port: int(port)})
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			unix.Close(l4)
			continue
		case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EADDRNOTAVAIL): // IPv6 is off
			l6 = -1
		case err != nil:
			unix.Close(l4)
			return err
		}
		p.listeners, p.port = [2]int{l4, l6}, port
		return nil
	}
	return errNoPort
}

// listener makes one that accepts connections to whatever address. What is set
// here holds for the accepted sockets as well.
func listener(family int, at unix.Sockaddr) (fd int, port uint16, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("making a socket: %w", err)
	}
	err = func() error {
		if err := transparent(fd, family); err != nil {
			return fmt.Errorf("making a socket transparent: %w", err)
		}
		if err := tune(fd); err != nil {
			return err
		}
		if err := unix.Bind(fd, at); err != nil {
			return err
		}
		if err := unix.Listen(fd, backlog); err != nil {
			return err
		}
		name, err := sock.Name(fd)
		if err != nil {
			return err
		}
		port = name.Port()
		return nil
	}()
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, port, nil
}

func transparent(fd, family int) error {
	if family == unix.AF_INET {
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
}

// tune has a socket send what it gets at once, as the sender has thought about
// delaying already, and find out when its peer is gone.
func tune(fd int) error {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.SOL_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_TCP, unix.TCP_KEEPIDLE, keepIdle},
		{unix.SOL_TCP, unix.TCP_KEEPINTVL, keepInterval},
		{unix.SOL_TCP, unix.TCP_KEEPCNT, keepCount},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	} {
		if err := sock.Set(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("tuning a socket: %w", err)
		}
	}
	return nil
}
