package scenario

import (
	"net"
	"net/netip"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

// worldServer answers on an address of the world, TCP and UDP, with the client's
// address and what it said.
func worldServer(t *testing.T, addr string) {
	t.Helper()
	var l net.Listener
	var u net.PacketConn
	err := netlab.World().Do(func() (err error) {
		if l, err = net.Listen("tcp", addr); err != nil {
			return err
		}
		u, err = net.ListenPacket("udp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); u.Close() })
	go serveTCP(l)
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			u.WriteTo(append([]byte(from.String()+" "), b[:n]...), from)
		}
	}()
}

// fromWorld asks a published port from an address of the world.
func fromWorld(network, from, to string) (answer string, err error) {
	err = netlab.World().Do(func() error {
		source := netip.AddrPortFrom(netip.MustParseAddr(from), 0)
		d := net.Dialer{Timeout: toolLimit}
		if network == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(source)
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(source)
		}
		answer, err = asked(network, to, "hello", d)
		return err
	})
	return answer, err
}
