// Package tcptest is what every way of carrying containers' connections to the world
// has to do, as tests on real networks: bridges in N, containers on them, and the
// test's own namespace for the host. Nothing but tests imports it.
package tcptest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/link"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

// Patience is how long a test waits for what should happen at once.
const Patience = 2 * time.Minute

// Lab is N with the device and networks. The host is the test's namespace, with
// loopback behind [member.HostAddress].
type Lab struct {
	N         *space.Space
	Device    *tun.Device
	Directory *member.Directory
	Fire      *firewall.Firewall

	t     testing.TB
	links *link.Links
	count int
}

// Container is one on the lab's networks.
type Container struct {
	*space.Space
	Member *member.Member
}

// New makes a lab without containers, gone with the test.
func New(t testing.TB) *Lab {
	t.Helper()
	l := &Lab{N: netlab.Space(t), Directory: &member.Directory{}, t: t}
	var err error
	if l.links, err = link.New(l.N); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.links.Close)
	l.Open()
	return l
}

// Open opens the device, also once more after it was closed.
func (l *Lab) Open() {
	l.t.Helper()
	d, err := tun.Open(l.N, tun.MaxMTU)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { d.Close() })
	l.Device = d
}

// Firewall installs the rules for a listener at a port of N's; 0: there is none.
func (l *Lab) Firewall(port uint16) {
	l.t.Helper()
	var err error
	if l.Fire, err = firewall.Setup(l.N, firewall.Config{TUN: tun.Name, TProxyPort: port}); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(l.Fire.Close)
}

// Way is what carries connections.
type Way interface {
	Serve(tun.Handlers) error
	Handle(*tun.Packet)
}

// Serve has the device served until it is closed.
func (l *Lab) Serve(w Way) (ended <-chan struct{}) {
	d, done := l.Device, make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Serve(tun.Handlers{TCP: w.Handle}); err != nil {
			l.t.Error(err)
		}
	}()
	l.t.Cleanup(func() { d.Close(); <-done })
	return done
}

// Network makes network number k: 10.k.0.0/24 and fd00:k::/64.
func (l *Lab) Network(k, mtu int) *store.Network {
	l.t.Helper()
	n := &store.Network{Name: fmt.Sprint("net", k), ID: id(fmt.Sprint("net", k)), Driver: "bridge", EnableIPv6: true,
		Options: map[string]string{"mtu": fmt.Sprint(mtu)}}
	var gateways []netip.Addr
	for _, p := range []string{fmt.Sprintf("10.%d.0.1/24", k), fmt.Sprintf("fd00:%d::1/64", k)} {
		gateway := netip.MustParsePrefix(p)
		gateways = append(gateways, gateway.Addr())
		n.Subnets = append(n.Subnets, store.Subnet{Subnet: gateway.Masked(), Gateway: gateway.Addr()})
	}
	bridge, err := l.links.EnsureNetwork(n)
	if err == nil {
		err = l.Fire.Network(firewall.Network{Bridge: bridge, Gateways: gateways})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// Container makes one more, on a network.
func (l *Lab) Container(n *store.Network) *Container {
	l.t.Helper()
	l.count++
	four, six := n.Subnets[0].Subnet.Addr().As4(), n.Subnets[1].Subnet.Addr().As16()
	four[3], six[15] = byte(1+l.count), byte(1+l.count)
	mac := net.HardwareAddr{2, 0x42, four[0], four[1], four[2], four[3]}
	e := store.Endpoint{
		Network: n.Name, NetworkID: n.ID, ID: id(fmt.Sprint("endpoint", l.count)), Interface: "eth0", MAC: mac.String(),
		IPv4: netip.PrefixFrom(netip.AddrFrom4(four), 24), IPv6: netip.PrefixFrom(netip.AddrFrom16(six), 64),
		Gateway4: n.Subnets[0].Gateway, Gateway6: n.Subnets[1].Gateway,
	}
	c := &Container{Space: netlab.Space(l.t), Member: &member.Member{
		Attachment: &store.Attachment{Container: id(fmt.Sprint("container", l.count)), Endpoints: []store.Endpoint{e}, HostLoopback: true},
		Networks:   map[string]*store.Network{n.Name: n},
		Pending:    new(atomic.Int64),
	}}
	err := l.links.Attach(c.Space, c.Member)
	if err == nil {
		err = l.Fire.Admit(link.Port(&e), firewall.Source{MAC: mac, Addresses: []netip.Addr{e.IPv4.Addr(), e.IPv6.Addr()}})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.Directory.Put(c.Member)
	for name, s := range map[string]*space.Space{link.Port(&e): l.N, link.Bridge(n): l.N, e.Interface: c.Space} {
		if err := s.Do(func() error { return netlab.Carrier(name) }); err != nil {
			l.t.Fatal(err)
		}
	}
	return c
}

// Threads are so many Spaces of the container's: a Space does one thing at a time.
func (c *Container) Threads(t testing.TB, n int) []*space.Space {
	t.Helper()
	var all []*space.Space
	for range n {
		s, err := space.Open(c.File())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		all = append(all, s)
	}
	return all
}

// Try connects from a namespace.
func Try(s *space.Space, address string) (c *net.TCPConn, err error) {
	err = s.Do(func() error {
		d := net.Dialer{Timeout: Patience, KeepAlive: -1}
		conn, err := d.Dial("tcp", address)
		if err != nil {
			return err
		}
		c = conn.(*net.TCPConn)
		c.SetDeadline(time.Now().Add(Patience))
		return nil
	})
	return c, err
}

// Dial is Try for what has to succeed. The connection is closed with the test.
func Dial(t testing.TB, s *space.Space, address string) *net.TCPConn {
	t.Helper()
	c, err := Try(s, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Listen listens on the host, or in a namespace, and has each connection handled by
// a goroutine of its own; it is closed afterwards.
func Listen(t testing.TB, s *space.Space, address string, handle func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	var l net.Listener
	listen := func() (err error) { l, err = net.Listen("tcp", address); return err }
	var err error
	if s == nil {
		err = listen()
	} else {
		err = s.Do(listen)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(Patience))
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// id is a made-up one of 64 digits.
func id(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])
}
