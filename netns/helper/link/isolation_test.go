package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Networks are apart, unless both say that they are open.
func TestNetworksApart(t *testing.T) {
	for _, c := range []struct {
		name     string
		one, two map[string]string
		want     error
	}{
		{"apart", nil, nil, syscall.EHOSTUNREACH},
		{"one open", map[string]string{"isolate": "false"}, nil, syscall.EHOSTUNREACH},
		{"both open", map[string]string{"isolate": "false"}, map[string]string{"isolate": "false"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			one, two := l.ensure(network("one", 20, c.one)), l.ensure(network("two", 21, c.two))
			a, _ := l.container("a", 2, one)
			b, _ := l.container("b", 3, two)
			for addr, want := range map[string]error{"10.21.0.3:7": c.want, "[fd00:21::3]:7": c.want} {
				l.serve(b, addr)
				conn, err := connectTo(a, addr)
				if err == nil {
					conn.Close()
				}
				if want == nil && err != nil || want != nil && !unreachable(err) {
					t.Errorf("connecting to %s: %v, want %v", addr, err, want)
				}
			}
		})
	}
}

// unreachable is what a prohibited destination gives: EHOSTUNREACH, and EACCES for IPv6.
func unreachable(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EACCES)
}

// A container in two networks talks to both; the way out is by the one of higher priority.
func TestTwoNetworks(t *testing.T) {
	l := newLab(t)
	one, two := l.ensure(network("one", 20, nil)), l.ensure(network("two", 21, nil))
	a, _ := l.container("a", 2, one)
	b, _ := l.container("b", 3, two)
	c, m := l.container("c", 4, one, two)
	l.serve(a, "10.20.0.2:7")
	l.serve(b, "10.21.0.3:7")
	for _, addr := range []string{"10.20.0.2:7", "10.21.0.3:7"} {
		conn, err := connectTo(c, addr)
		l.must(err)
		conn.Close()
	}
	for priority, want := range []string{"10.20.0.1", "10.21.0.1"} {
		m.Attachment.Endpoints[1].Priority = priority
		l.attach(c, m)
		var got net.IP
		l.must(c.Do(func() error {
			routes, err := netlink.RouteGet(net.IPv4(192, 0, 2, 1))
			got = routes[0].Gw
			return err
		}))
		if got.String() != want {
			t.Errorf("priority %d of the second network: out by %s, want %s", priority, got, want)
		}
	}
}

// With enable_icc=false members reach their gateway and not each other, not by way of the
// gateway either.
func TestMembersApart(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, map[string]string{"com.docker.network.bridge.enable_icc": "false"}))
	a, m := l.container("a", 2, n)
	b, _ := l.container("b", 3, n)
	l.serve(b, "10.20.0.3:7")
	l.serve(l.n, "10.20.0.1:53")
	conn, err := connectTo(a, "10.20.0.1:53")
	l.must(err)
	conn.Close()
	if _, err := connectWithin(a, "10.20.0.3:7", 300*time.Millisecond); err == nil {
		t.Error("a member reaches another")
	}
	l.must(a.Do(func() error {
		eth0, err := netlink.LinkByName(m.Attachment.Endpoints[0].Interface)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: netlink.NewIPNet(net.IPv4(10, 20, 0, 3)), Gw: net.IPv4(10, 20, 0, 1)})
	}))
	if _, err := connectTo(a, "10.20.0.3:7"); !unreachable(err) {
		t.Errorf("by way of the gateway: %v, want it unreachable", err)
	}
}

// Of N's own, containers reach the name server of their network; nothing else, and
// least of all the listener of the kernel path.
func TestGatewayIsClosed(t *testing.T) {
	l := newLab(t)
	one := l.ensure(network("one", 20, nil))
	l.ensure(network("two", 21, nil))
	a, _ := l.container("a", 2, one)
	for _, addr := range []string{"10.20.0.1:53", "[fd00:20::1]:53", "10.21.0.1:53"} {
		l.serve(l.n, addr)
	}
	l.serveTransparent(7777)
	for addr, want := range map[string]error{
		"10.20.0.1:53":      nil,
		"[fd00:20::1]:53":   nil,
		"10.20.0.1:7777":    syscall.ECONNREFUSED,
		"[fd00:20::1]:7777": syscall.ECONNREFUSED,
		"10.20.0.1:80":      syscall.ECONNREFUSED,
		"10.21.0.1:53":      context.DeadlineExceeded,
		"10.21.0.1:7777":    context.DeadlineExceeded,
	} {
		limit := patience
		if want == context.DeadlineExceeded {
			limit = 300 * time.Millisecond
		}
		conn, err := connectWithin(a, addr, limit)
		if err == nil {
			conn.Close()
		}
		var timeout net.Error
		late := errors.As(err, &timeout) && timeout.Timeout()
		if !errors.Is(err, want) && !(want == context.DeadlineExceeded && late) {
			t.Errorf("connecting to %s: %v, want %v", addr, err, want)
		}
	}
}

// serveTransparent listens as the kernel path does.
func (l *lab) serveTransparent(port int) {
	l.t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) })
		return err
	}}
	l.must(l.n.Do(func() error {
		listener, err := config.Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)).String())
		if err == nil {
			l.t.Cleanup(func() { listener.Close() })
		}
		return err
	}))
}

// An internal network has no way out, whatever a container does to its routes.
func TestInternal(t *testing.T) {
	l := newLab(t)
	inner, outer := network("inner", 20, nil), l.ensure(network("outer", 21, nil))
	inner.Internal = true
	l.ensure(inner)
	a, _ := l.container("a", 2, inner) // with routes to the gateway, as a container may make them
	b, _ := l.container("b", 3, outer)
	seen := l.watch()
	for i, s := range []*space.Space{a, b} {
		l.must(s.Do(func() error {
			c, err := net.Dial("udp", "192.0.2.1:"+[]string{"1111", "2222"}[i])
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("out"))
			return err
		}))
	}
	// What was sent first would have come out first.
	if port := <-seen; port != 2222 {
		t.Errorf("a packet to port %d came out, want only that to 2222", port)
	}
}

// watch tells the destination port of each UDP packet that leaves N.
func (l *lab) watch() <-chan uint16 {
	seen := make(chan uint16, 16)
	go l.tun.Serve(tun.Handlers{UDP: func(p *tun.Packet) { seen <- binary.BigEndian.Uint16(p.Payload[2:]) }})
	return seen
}

// Fifty containers at once on one network, each with its own address.
func TestMany(t *testing.T) {
	const count = 50
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	spaces := make([]*space.Space, count)
	for i := range spaces {
		spaces[i] = netlab.Space(t)
	}
	var wg sync.WaitGroup
	errs := make([]error, count)
	began := time.Now()
	for i := range count {
		wg.Go(func() {
			m := memberOf(n, endpoint(n, fmt.Sprint("c", i), i+2, 0))
			if errs[i] = l.links.Attach(spaces[i], m); errs[i] == nil {
				errs[i] = l.fire.Admit(Port(&m.Attachment.Endpoints[0]), source(&m.Attachment.Endpoints[0]))
			}
		})
	}
	wg.Wait()
	t.Logf("%v for %d", time.Since(began), count)
	l.must(errors.Join(errs...))
	l.serve(spaces[0], "10.20.0.2:7")
	for _, s := range spaces[1:] {
		c, err := connectTo(s, "10.20.0.2:7")
		l.must(err)
		l.must(echo(c, "hello"))
		c.Close()
	}
	before, err := l.links.Interfaces()
	l.must(err)
	l.must(l.links.Sweep(func(name string) bool { return name == Bridge(n) }))
	after, err := l.links.Interfaces()
	l.must(err)
	if len(before) != count+2 || len(after) != 2 {
		t.Errorf("%d interfaces before, %d after sweeping, want %d and 2", len(before), len(after), count+2)
	}
}

// A network's MTU is that of every interface in it, up to what IP allows.
func TestMTU(t *testing.T) {
	for option, want := range map[string]int{"": DefaultMTU, "1500": 1500, "9000": 9000} {
		l := newLab(t)
		options := map[string]string{}
		if option != "" {
			options["com.docker.network.driver.mtu"] = option
		}
		n := l.ensure(network("front", 20, options))
		a, _ := l.container("a", 2, n)
		check := func(s *space.Space, name string) {
			t.Helper()
			l.must(s.Do(func() error {
				i, err := net.InterfaceByName(name)
				if err == nil && i.MTU != want {
					t.Errorf("MTU of %s is %d, want %d", name, i.MTU, want)
				}
				return err
			}))
		}
		check(a, "eth0")
		check(l.n, Bridge(n))
	}
}
