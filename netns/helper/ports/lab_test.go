package ports

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// patience is how long a test waits for what should happen at once.
const patience = time.Minute

// lab is networks with a publisher.
type lab struct {
	t         testing.TB
	n         *space.Space
	directory *member.Directory
	publisher *Publisher
	made      int
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, n: netlab.Space(t), directory: &member.Directory{}}
	device, err := tun.Open(l.n, 65520)
	l.check(err)
	t.Cleanup(func() { device.Close() })
	wall, err := firewall.Setup(l.n, firewall.Config{TUN: tun.Name})
	l.check(err)
	t.Cleanup(wall.Close)
	l.start()
	return l
}

func (l *lab) start() {
	l.t.Helper()
	p, err := Start(Config{N: l.n, Directory: l.directory})
	l.check(err)
	l.publisher = p
	l.t.Cleanup(p.Close)
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// container is a member with addresses 10.90.<i>.2 and fd00:<i>::2.
type container struct {
	*space.Space
	member *member.Member
	four   netip.Addr
	six    netip.Addr
}

func (l *lab) container(families string) *container {
	l.t.Helper()
	l.made++
	i := l.made
	four, six := netip.MustParsePrefix(fmt.Sprintf("10.90.%d.2/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::2/64", i))
	gateway4, gateway6 := netip.MustParsePrefix(fmt.Sprintf("10.90.%d.1/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::1/64", i))
	network := &store.Network{Name: fmt.Sprintf("net%d", i), Driver: "bridge", Subnets: []store.Subnet{
		{Subnet: four.Masked(), Gateway: gateway4.Addr()}, {Subnet: six.Masked(), Gateway: gateway6.Addr()}}}
	e := store.Endpoint{Network: network.Name, Interface: "eth0"}
	var addresses, gateways []string
	if families != "6" {
		e.IPv4, e.Gateway4 = four, gateway4.Addr()
		addresses, gateways = append(addresses, four.String()), append(gateways, gateway4.String())
	}
	if families != "4" {
		e.IPv6, e.Gateway6 = six, gateway6.Addr()
		addresses, gateways = append(addresses, six.String()), append(gateways, gateway6.String())
	}
	m := &member.Member{
		Attachment: &store.Attachment{Container: fmt.Sprintf("%064d", i), Name: fmt.Sprintf("box%d", i), Endpoints: []store.Endpoint{e}},
		Networks:   map[string]*store.Network{network.Name: network}, Pending: new(atomic.Int64),
	}
	l.directory.Put(m)
	return &container{netlab.Container(l.t, l.n, fmt.Sprintf("v%d", i), addresses, gateways), m, four.Addr(), six.Addr()}
}

// publish publishes ports and returns the first one's number.
func (l *lab) publish(c *container, want ...store.Port) uint16 {
	l.t.Helper()
	bound, err := l.publisher.Publish(c.member, want, nil, nil)
	l.check(err)
	return bound[0].HostPort
}

// listenIn listens on all addresses of a container.
func (l *lab) listenIn(c *container, port int) net.Listener {
	l.t.Helper()
	var listener net.Listener
	l.check(c.Do(func() (err error) {
		listener, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}))
	l.t.Cleanup(func() { listener.Close() })
	return listener
}

// dial connects from the world; source may be empty.
func (l *lab) dial(from *space.Space, network, source, target string) (conn net.Conn, err error) {
	d := net.Dialer{}
	if source != "" {
		if network == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source))
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(source))
		}
	}
	call := func() (err error) {
		conn, err = d.Dial(network, target)
		return err
	}
	if from == nil {
		return conn, call()
	}
	return conn, from.Do(call)
}

func tcp(port uint16) store.Port { return store.Port{ContainerPort: port, Protocol: "tcp"} }
func udp(port uint16) store.Port { return store.Port{ContainerPort: port, Protocol: "udp"} }
