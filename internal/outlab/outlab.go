// Package outlab gives tests of the ways out a container behind the device, in namespaces of
// their own. Nothing but tests imports it.
package outlab

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

// Network is what the container is in.
const Network = "lab"

// The container's addresses.
var (
	Container4 = netip.MustParseAddr("10.90.0.2")
	Container6 = netip.MustParseAddr("fd00:a::2")
)

// Lab is a container, the namespace N that routes for it, and the device in N. The
// test's own namespace is the host's.
type Lab struct {
	N, Container *space.Space
	Device       *tun.Device
	Directory    *member.Directory
}

// New makes a lab, closed with the test, whose container's interface has the given
// MTU. The container may use the host's loopback services.
func New(t testing.TB, mtu int) *Lab {
	t.Helper()
	l := &Lab{N: netlab.Space(t), Directory: &member.Directory{}}
	gateways := []string{"10.90.0.1/24", "fd00:a::1/64"}
	l.Container = netlab.Container(t, l.N, "veth", []string{Container4.String() + "/24", Container6.String() + "/64"}, gateways)
	for _, end := range []struct {
		space *space.Space
		name  string
	}{{l.N, "veth"}, {l.Container, "eth0"}} {
		err := end.space.Do(func() error {
			link, err := netlink.LinkByName(end.name)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(link, mtu)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.Join("lab-container", true)
	return l
}

// Open opens the device.
func (l *Lab) Open(t testing.TB) *tun.Device {
	t.Helper()
	d, err := tun.Open(l.N, tun.MaxMTU)
	if err != nil {
		t.Fatal(err)
	}
	l.Device = d
	t.Cleanup(func() { d.Close() })
	return d
}

// Serve has the device served until the test ends.
func (l *Lab) Serve(t testing.TB, handlers tun.Handlers) {
	t.Helper()
	d := l.Device
	done := make(chan error, 1)
	go func() { done <- d.Serve(handlers) }()
	t.Cleanup(func() {
		d.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Join enters the container into the directory, by some id.
func (l *Lab) Join(id string, hostLoopback bool) {
	l.Directory.Put(&member.Member{
		Attachment: &store.Attachment{Container: id, HostLoopback: hostLoopback, Endpoints: []store.Endpoint{{
			Network: Network,
			IPv4:    netip.PrefixFrom(Container4, 24),
			IPv6:    netip.PrefixFrom(Container6, 64),
		}}},
		Networks: map[string]*store.Network{Network: {Name: Network}},
		Pending:  new(atomic.Int64),
	})
}

// Do runs f in a namespace, and ends the test where it fails.
func Do(t testing.TB, s *space.Space, f func() error) {
	t.Helper()
	if err := s.Do(f); err != nil {
		t.Fatal(err)
	}
}

// Dial connects from a namespace, with a deadline for all that follows.
func Dial(t testing.TB, s *space.Space, network, address string) net.Conn {
	t.Helper()
	var c net.Conn
	Do(t, s, func() (err error) { c, err = net.DialTimeout(network, address, Patience); return err })
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(Patience))
	return c
}

// Packets listens for datagrams in a namespace; nil: the host's.
func Packets(t testing.TB, s *space.Space, address string) *net.UDPConn {
	t.Helper()
	var c net.PacketConn
	listen := func() (err error) { c, err = net.ListenPacket("udp", address); return err }
	var err error
	if s == nil {
		err = listen()
	} else {
		err = s.Do(listen)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(Patience))
	return c.(*net.UDPConn)
}

// Patience is how long a test waits for what should happen at once.
const Patience = time.Minute
