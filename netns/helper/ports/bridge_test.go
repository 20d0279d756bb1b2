package ports

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/tcptest"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

// On bridges with their firewall, and with several containers and networks, each client is seen
// by its address, over TCP and UDP, and what a neighbour on the bridge sees is N.
func TestBridges(t *testing.T) {
	bridges := tcptest.New(t)
	bridges.Firewall(0)
	go bridges.Device.Serve(tun.Handlers{})
	l := &lab{t: t, n: bridges.N, directory: bridges.Directory}
	l.start()
	first, second := bridges.Network(1, 1500), bridges.Network(2, 65520)
	for i, n := range []*store.Network{first, first, second} {
		c := bridges.Container(n)
		e := c.Member.Attachment.Endpoints[0]
		box := &container{c.Space, c.Member, e.IPv4.Addr(), e.IPv6.Addr()}
		go whoami(l.listenIn(box, 80))
		l.echo(box, 53)
		bound, err := l.publisher.Publish(c.Member, []store.Port{tcp(80), udp(53)}, nil, nil)
		l.check(err)
		for source, target := range map[string]string{"192.0.2.1:5000": "192.0.2.10", "192.0.2.2:5000": "192.0.2.11", "[2001:db8::1]:5000": "[2001:db8::10]"} {
			conn, err := l.dial(netlab.World(), "tcp", source, fmt.Sprintf("%s:%d", target, bound[0].HostPort))
			l.check(err)
			want, _, _ := net.SplitHostPort(source)
			if text, err := io.ReadAll(conn); string(text) != want || err != nil {
				t.Errorf("container %d sees %q, %v; want %s", i, text, err, want)
			}
			conn.(*net.TCPConn).SetLinger(0) // the port is used again at once
			conn.Close()
			asked, err := l.dial(netlab.World(), "udp", source, fmt.Sprintf("%s:%d", target, bound[2].HostPort))
			l.check(err)
			if text, err := ask(asked, "x"); text != source+" x" || err != nil {
				t.Errorf("container %d sees %q, %v; want %s", i, text, err, source)
			}
			asked.Close()
		}
		conn, err := l.dial(nil, "tcp", "", fmt.Sprintf("127.0.0.1:%d", bound[0].HostPort))
		l.check(err)
		if text, _ := io.ReadAll(conn); string(text) != n.Subnets[0].Gateway.String() {
			t.Errorf("container %d sees %q for the host", i, text)
		}
		conn.Close()
	}
}
