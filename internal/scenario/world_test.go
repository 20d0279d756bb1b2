package scenario

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"golang.org/x/net/dns/dnsmessage"
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
	go serveTCP(l, io.Discard)
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

// dnsServer is a name server in the world that knows one address for all names.
func dnsServer(t *testing.T, server, address string) {
	t.Helper()
	var u net.PacketConn
	if err := netlab.World().Do(func() (err error) {
		u, err = net.ListenPacket("udp", server+":53")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := answerTo(b[:n], address); answer != nil {
				u.WriteTo(answer, from)
			}
		}
	}()
}

// answerTo gives the address for a question of type A, and no answer for others.
func answerTo(query []byte, address string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}
