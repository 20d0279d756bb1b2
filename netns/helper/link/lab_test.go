package link

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/overlay"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// lab is an N with its links and firewall.
type lab struct {
	t     testing.TB
	n     *space.Space
	tun   *tun.Device
	links *Links
	fire  *firewall.Firewall
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, n: netlab.Space(t)}
	var err error
	l.tun, err = tun.Open(l.n, DefaultMTU)
	l.must(err)
	t.Cleanup(func() { l.tun.Close() })
	l.restart()
	return l
}

// restart is what a new helper begins with.
func (l *lab) restart() {
	l.t.Helper()
	var err error
	l.fire, err = firewall.Setup(l.n, firewall.Config{TUN: tun.Name, Carrier: overlay.Device, TProxyPort: 7777})
	l.must(err)
	l.t.Cleanup(l.fire.Close)
	l.links, err = New(l.n)
	l.must(err)
	l.t.Cleanup(l.links.Close)
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// id is a made-up one of 64 digits.
func id(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])
}

// network is number k: 10.k.0.0/24 and fd00:k::/64.
func network(name string, k int, options map[string]string) *store.Network {
	n := &store.Network{Name: name, ID: id(fmt.Sprint(name, k)), Driver: "bridge", EnableIPv6: true, Options: options}
	for _, p := range []string{fmt.Sprintf("10.%d.0.1/24", k), fmt.Sprintf("fd00:%d::1/64", k)} {
		gateway := netip.MustParsePrefix(p)
		n.Subnets = append(n.Subnets, store.Subnet{Subnet: gateway.Masked(), Gateway: gateway.Addr()})
	}
	return n
}

func (l *lab) ensure(n *store.Network) *store.Network {
	l.t.Helper()
	bridge, err := l.links.EnsureNetwork(n)
	l.must(err)
	var addresses []netip.Addr
	for _, s := range n.Subnets {
		addresses = append(addresses, s.Gateway)
	}
	l.must(l.fire.Network(firewall.Network{
		Bridge: bridge, Gateways: addresses, Internal: n.Internal, Open: n.Options["isolate"] == "false",
		Separate: n.Options["com.docker.network.bridge.enable_icc"] == "false",
	}))
	return n
}

// endpoint is the container number i's in a network.
func endpoint(n *store.Network, name string, i int, nth int) store.Endpoint {
	gateway4, gateway6 := n.Subnets[0], n.Subnets[1]
	four := gateway4.Subnet.Addr().As4()
	four[2], four[3] = byte(i>>8), byte(i)
	six := gateway6.Subnet.Addr().As16()
	six[14], six[15] = byte(i>>8), byte(i)
	return store.Endpoint{
		Network: n.Name, NetworkID: n.ID, ID: id(name + n.Name), Interface: fmt.Sprintf("eth%d", nth),
		MAC:  net.HardwareAddr{2, 0x42, four[0], four[1], four[2], four[3]}.String(),
		IPv4: netip.PrefixFrom(netip.AddrFrom4(four), 24), IPv6: netip.PrefixFrom(netip.AddrFrom16(six), 64),
		Gateway4: gateway4.Gateway, Gateway6: gateway6.Gateway,
	}
}

// container is number i in each of the networks.
func (l *lab) container(name string, i int, networks ...*store.Network) (*space.Space, *member.Member) {
	l.t.Helper()
	c := netlab.Space(l.t)
	m := &member.Member{Attachment: &store.Attachment{Container: id(name), Name: name}, Networks: map[string]*store.Network{}}
	for nth, n := range networks {
		m.Attachment.Endpoints = append(m.Attachment.Endpoints, endpoint(n, name, i, nth))
		m.Networks[n.Name] = n
	}
	l.attach(c, m)
	return c, m
}

func (l *lab) attach(c *space.Space, m *member.Member) {
	l.t.Helper()
	l.must(l.links.Attach(c, m))
	for i := range m.Attachment.Endpoints {
		e := &m.Attachment.Endpoints[i]
		l.must(l.fire.Admit(Port(e), source(e)))
	}
}

func source(e *store.Endpoint) firewall.Source {
	mac, _ := net.ParseMAC(e.MAC)
	s := firewall.Source{MAC: mac}
	for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
		if p.IsValid() {
			s.Addresses = append(s.Addresses, p.Addr())
		}
	}
	return s
}

// serve echoes at an address in a space.
func (l *lab) serve(s *space.Space, addr string) {
	l.t.Helper()
	var listener net.Listener
	l.must(s.Do(func() (err error) {
		listener, err = net.Listen("tcp", addr)
		return err
	}))
	l.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
}

// patience is for what comes about, on a machine that is busy.
const patience = time.Minute

func connectTo(s *space.Space, addr string) (net.Conn, error) {
	return connectWithin(s, addr, patience)
}

func connectWithin(s *space.Space, addr string, limit time.Duration) (c net.Conn, err error) {
	err = s.Do(func() error {
		c, err = net.DialTimeout("tcp", addr, limit)
		return err
	})
	return c, err
}

// echo says that what is sent comes back.
func echo(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("%q came back as %q", text, got)
	}
	return nil
}

func memberOf(n *store.Network, e store.Endpoint) *member.Member {
	return &member.Member{Attachment: &store.Attachment{Endpoints: []store.Endpoint{e}}, Networks: map[string]*store.Network{n.Name: n}}
}

// talk connects from a space and has an echo.
func (l *lab) talk(s *space.Space, addr string) error {
	c, err := connectTo(s, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	return echo(c, "hello")
}
