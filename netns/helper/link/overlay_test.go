package link

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/overlay"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
)

// carry starts the relay of a host.
func (l *lab) carry(host *space.Space) *overlay.Relay {
	l.t.Helper()
	r, err := overlay.Start(overlay.Config{N: l.n, Listen: func(port uint16) (conn *net.UDPConn, err error) {
		err = host.Do(func() error {
			conn, err = net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
			return err
		})
		return conn, err
	}})
	l.must(err)
	return r
}

// joinOverlay makes an overlay network on a host, whose gateway there is the given one.
func (l *lab) joinOverlay(r *overlay.Relay, gateway byte, options map[string]string) *store.Network {
	l.t.Helper()
	n := network("wide", 20, options)
	n.Driver = "overlay"
	n.ID = id(strings.Repeat("x", int(gateway))) // each host makes its own
	for i := range n.Subnets {
		s := &n.Subnets[i]
		b := s.Gateway.AsSlice()
		b[len(b)-1] = gateway
		s.Gateway, _ = netip.AddrFromSlice(b)
	}
	l.ensure(n)
	l.tunnel(r, n)
	return n
}

func (l *lab) tunnel(r *overlay.Relay, n *store.Network) {
	l.t.Helper()
	peers, err := r.Join(n)
	l.must(err)
	vni, port, err := overlay.Tunnel(n)
	l.must(err)
	l.must(l.links.EnsureTunnel(n, Tunnel{VNI: vni, Port: port, Local: overlay.Local, Peers: peers}))
	l.must(l.fire.Trunk(Uplink(n)))
}

// Containers of two hosts, each with its own N, talk over the wire between the hosts,
// which may be of IPv4 or IPv6; a helper's restart is survived.
func TestOverlay(t *testing.T) {
	for _, c := range []struct{ name, one, two string }{
		{"IPv4", "192.0.2.5", "192.0.2.6"},
		{"IPv6", "2001:db8:5::5", "2001:db8:5::6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostOne := netlab.Space(t)
			hostTwo := netlab.Container(t, hostOne, "wire", []string{"192.0.2.6/24", "2001:db8:5::6/64"}, []string{"192.0.2.5/24", "2001:db8:5::5/64"})
			one, two := newLab(t), newLab(t)
			relayOne, relayTwo := one.carry(hostOne), two.carry(hostTwo)
			defer func() { relayTwo.Close() }()
			netOne := one.joinOverlay(relayOne, 1, map[string]string{"peers": c.two})
			netTwo := two.joinOverlay(relayTwo, 2, map[string]string{"peers": c.one})
			a, _ := one.container("a", 11, netOne)
			b, bm := two.container("b", 12, netTwo)
			for _, addr := range []string{"10.20.0.12:7", "[fd00:20::c]:7"} {
				two.serve(b, addr)
				one.must(one.talk(a, addr))
			}
			kept, err := connectTo(a, "10.20.0.12:7")
			one.must(err)
			defer kept.Close()

			relayTwo.Close()
			two.restart()
			relayTwo = two.carry(hostTwo)
			two.ensure(netTwo)
			two.tunnel(relayTwo, netTwo)
			two.attach(b, bm)
			one.must(echo(kept, strings.Repeat("still there", 10000)))

			relayOne.Close()
			if _, err := hostSocket(hostOne, 4789); err != nil {
				t.Errorf("the host's port after Close: %v", err)
			}
		})
	}
}

func hostSocket(host *space.Space, port int) (conn *net.UDPConn, err error) {
	err = host.Do(func() error {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{Port: port})
		return err
	})
	return conn, err
}

// Who is no peer of a network gets no frame into it, and a port that is taken is told.
func TestOverlayStrangers(t *testing.T) {
	hostOne := netlab.Space(t)
	hostTwo := netlab.Container(t, hostOne, "wire", []string{"192.0.2.6/24"}, []string{"192.0.2.5/24"})
	l := newLab(t)
	r := l.carry(hostOne)
	defer r.Close()
	n := l.joinOverlay(r, 1, map[string]string{"peers": "192.0.2.6"})
	other := network("other", 21, map[string]string{"peers": "192.0.2.7", "vni": "7"})
	_, err := r.Join(other)
	l.must(err)
	a, _ := l.container("a", 11, n)
	sender, err := hostSocket(hostTwo, 0)
	l.must(err)
	defer sender.Close()
	inner := unhex(t, "ffffffffffff 02aaaaaaaaaa 0800 4500 001c 0000 0000 40 11 0000 0a140009 ffffffff 0001 0002 0008 0000")
	mark := append([]byte(nil), inner...)
	mark[19] = 9
	receiver := l.packets(a)
	for _, d := range [][]byte{
		append(unhex(t, "08000000 00000700"), inner...),         // of a network that it is no peer of
		append(unhex(t, "08000000 00009900"), inner...),         // of none
		append(unhex(t, "00000000 00100000"), inner...),         // without a VNI
		unhex(t, "08000000"), {}, unhex(t, "08000000 00100000"), // cut off
		append(unhex(t, "08000000 00100000"), mark...),
	} {
		_, err := sender.WriteTo(d, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 5), Port: 4789})
		l.must(err)
	}
	if l.sees(receiver, inner, mark) {
		t.Error("a stranger's frame came in")
	}

	taken, err := hostSocket(hostOne, 4790)
	l.must(err)
	defer taken.Close()
	other.Options["port"] = "4790"
	if _, err := r.Join(other); err == nil || !strings.Contains(err.Error(), "UDP port 4790 of this host") {
		t.Errorf("joining on a port that is taken: %v", err)
	}
	// A container has no way to the device, or to the vxlan's own port.
	for _, addr := range []string{"169.254.2.2:4789", "169.254.2.1:4789", "10.20.0.1:4789"} {
		c, err := dialUDP(a, addr)
		l.must(err)
		l.must(c.SetDeadline(time.Now().Add(100 * time.Millisecond)))
		c.Write(append(unhex(t, "08000000 00100000"), inner...))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s answers", addr)
		}
		c.Close()
	}
}

func dialUDP(s *space.Space, addr string) (c net.Conn, err error) {
	err = s.Do(func() error {
		c, err = net.Dial("udp", addr)
		return err
	})
	return c, err
}
