package ports

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
)

// echo answers each datagram with the client's address as it sees it, and the datagram.
func (l *lab) echo(c *container, port int) {
	l.t.Helper()
	var conn *net.UDPConn
	l.check(c.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{Port: port})
		return err
	}))
	l.t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			who := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%s %s", who, buffer[:n]), from)
		}
	}()
}

// ask sends a datagram again until its answer comes: it is UDP. Late answers to what was asked
// before may come first.
func ask(conn net.Conn, text string) (string, error) {
	buffer := make([]byte, 65536)
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		conn.Write([]byte(text))
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				last = err
				break
			}
			if answer := string(buffer[:n]); strings.HasSuffix(answer, " "+text) {
				return answer, nil
			}
		}
	}
	return "", last
}

// Clients are seen by their own addresses and ports, and answered from the address they used.
func TestDatagrams(t *testing.T) {
	l := newLab(t)
	c := l.container("")
	l.echo(c, 53)
	port := l.publish(c, udp(53))
	for _, u := range []struct {
		from           *space.Space
		source, target string
		seen           string // "" for the source
	}{
		{netlab.World(), "192.0.2.1:4001", "192.0.2.10", ""},
		{netlab.World(), "192.0.2.2:4001", "192.0.2.11", ""},
		{netlab.World(), "[2001:db8::1]:4001", "2001:db8::10", ""},
		{nil, "", "127.0.0.1", "10.90.1.1"},
		{nil, "", "::1", "fd00:1::1"},
	} {
		conn, err := l.dial(u.from, "udp", u.source, netip.AddrPortFrom(netip.MustParseAddr(u.target), port).String())
		l.check(err)
		answer, err := ask(conn, "hello")
		l.check(err)
		var seen, text string
		fmt.Sscan(answer, &seen, &text)
		who, err := netip.ParseAddrPort(seen)
		if text != "hello" || err != nil || u.seen == "" && seen != u.source || u.seen != "" && who.Addr().String() != u.seen {
			t.Errorf("from %q to %s: answer %q", u.source, u.target, answer)
		}
		conn.Close()
	}
}

// One client that uses two of the host's addresses gets each answer from the one it asked.
func TestDatagramsOfOneSocket(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	l.echo(c, 53)
	port := l.publish(c, udp(53))
	var conn *net.UDPConn
	l.check(netlab.World().Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)})
		return err
	}))
	defer conn.Close()
	buffer := make([]byte, 100)
	for _, host := range []string{"192.0.2.10", "192.0.2.11", "192.0.2.10"} {
		target := netip.AddrPortFrom(netip.MustParseAddr(host), port)
		conn.WriteToUDPAddrPort([]byte("x"), target)
		conn.SetReadDeadline(time.Now().Add(patience))
		_, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil || from != target {
			t.Errorf("asked %s, answer from %s, %v", target, from, err)
		}
	}
}

// A hundred clients, large datagrams among theirs, and each gets its own answers.
func TestManyClients(t *testing.T) {
	l := newLab(t)
	c := l.container("")
	l.echo(c, 53)
	port := l.publish(c, udp(53))
	var all sync.WaitGroup
	for i := range 100 {
		target := []string{"192.0.2.10", "[2001:db8::10]"}[i%2]
		conn, err := l.dial(netlab.World(), "udp", "", fmt.Sprintf("%s:%d", target, port))
		l.check(err)
		all.Go(func() {
			defer conn.Close()
			for round := range 10 {
				text := fmt.Sprintf("%d/%d/%0*d", i, round, 1+i*50, 0)
				answer, err := ask(conn, text)
				if err != nil || answer != conn.LocalAddr().String()+" "+text {
					t.Errorf("client %d, round %d: answer of %d bytes, %v", i, round, len(answer), err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A port that nobody serves in the container yet is no end of a flow.
func TestDatagramsRefused(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	port := l.publish(c, udp(53))
	conn, err := l.dial(netlab.World(), "udp", "", fmt.Sprintf("192.0.2.10:%d", port))
	l.check(err)
	defer conn.Close()
	for range 3 {
		conn.Write([]byte("too early"))
	}
	l.echo(c, 53)
	if _, err := ask(conn, "now"); err != nil {
		t.Error(err)
	}
}

// The clients of a port are bounded: the one that was silent longest makes room, and
// is served again when it comes back.
func TestFlowLimit(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	l.echo(c, 53)
	port := l.publish(c, udp(53))
	first, err := l.dial(netlab.World(), "udp", "192.0.2.1:3000", fmt.Sprintf("192.0.2.10:%d", port))
	l.check(err)
	defer first.Close()
	ask(first, "hello")
	for i := range maxFlows + 10 {
		conn, err := l.dial(netlab.World(), "udp", fmt.Sprintf("192.0.2.2:%d", 10000+i), fmt.Sprintf("192.0.2.10:%d", port))
		l.check(err)
		conn.Write([]byte("x"))
		conn.Close()
	}
	if answer, err := ask(first, "again"); answer != "192.0.2.1:3000 again" {
		t.Errorf("answer %q, %v", answer, err)
	}
	pub := l.publisher.published[c.member.ID()]
	share := pub.shares[pub.home]
	share.loop.Call(func() {
		for _, d := range share.datagrams {
			if n := len(d.flows); n > maxFlows {
				t.Errorf("%d flows", n)
			}
			d.expire(time.Now().Add(idleAnswered + time.Second))
			if len(d.flows)+len(share.tuples) > 0 || d.oldest != nil || d.newest != nil {
				t.Error("silent flows are kept")
			}
		}
	})
}
