package tcptest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
)

// Start begins to carry what comes from the lab's device, until the test ends: it calls
// Firewall and Serve.
type Start func(t testing.TB, l *Lab)

// Where the host and the world are, in both families.
var (
	hosts       = []string{"192.0.2.10", "2001:db8::10"}
	worlds      = []string{"192.0.2.1", "2001:db8::1"}
	unreachable = []string{"203.0.113.1", "2001:db8:dead::1"}
)

// Run tests all that a way out has to do.
func Run(t *testing.T, start Start) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Start)
	}{
		{"Networks", networks}, {"Refused", refused}, {"Unreachable", noRoute}, {"Silent", silent}, {"HalfClose", halfClose},
		{"ResetByWorld", resetByWorld}, {"ResetByContainer", resetByContainer}, {"AnswerThenReset", answerThenReset},
		{"SlowReader", slowReader}, {"PortsAgain", portsAgain}, {"ShortConnections", shortConnections}, {"ManyFlows", manyFlows},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, start) })
	}
}

func one(t *testing.T, start Start) (*Lab, *Container) {
	t.Helper()
	l := New(t)
	start(t, l)
	return l, l.Container(l.Network(90, 65520))
}

// Payload is data that differs from place to place, so that lost and doubled pieces show.
func Payload(n int, seed uint32) []byte {
	b := make([]byte, n)
	for i := 0; i+4 <= n; i += 4 {
		binary.LittleEndian.PutUint32(b[i:], seed+uint32(i)*2654435761)
	}
	return b
}

// Echo sends data and wants the same back.
func Echo(c *net.TCPConn, data []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- err
	}()
	back := make([]byte, len(data))
	if _, err := io.ReadFull(c, back); err != nil {
		return fmt.Errorf("reading the echo: %w", err)
	}
	if !bytes.Equal(back, data) {
		return errors.New("the echo is not what was sent")
	}
	return <-sent
}

func echo(c *net.TCPConn) {
	io.Copy(c, struct{ io.Reader }{c})
	c.CloseWrite()
}

// Several networks, each with containers, in both families and with small and large
// packets, reach the host, its loopback services and the world.
func networks(t *testing.T, start Start) {
	l := New(t)
	start(t, l)
	large, small := l.Network(90, 65520), l.Network(91, 1500)
	containers := []*Container{l.Container(large), l.Container(large), l.Container(small)}
	var targets []netip.AddrPort
	for i := range hosts {
		targets = append(targets, Listen(t, nil, net.JoinHostPort(hosts[i], "0"), echo), Listen(t, netlab.World(), net.JoinHostPort(worlds[i], "0"), echo))
	}
	loopback := Listen(t, nil, "127.0.0.1:0", echo)
	targets = append(targets, netip.AddrPortFrom(netip.MustParseAddr("169.254.1.2"), loopback.Port()))
	var all sync.WaitGroup
	for i, c := range containers {
		for j, target := range targets {
			all.Go(func() {
				conn, err := Try(c.Space, target.String())
				if err != nil {
					t.Errorf("container %d: %v", i, err)
					return
				}
				defer conn.Close()
				if conn.RemoteAddr().String() != target.String() {
					t.Errorf("%s seems to be %s", target, conn.RemoteAddr())
				}
				for _, n := range []int{1, 1000, 5 << 20} {
					if err := Echo(conn, Payload(n, uint32(i<<8+j))); err != nil {
						t.Errorf("container %d, %s, %d octets: %v", i, target, n, err)
					}
				}
			})
		}
	}
	all.Wait()
}

func refused(t *testing.T, start Start) {
	_, c := one(t, start)
	for _, host := range slices.Concat(hosts, worlds, []string{"169.254.1.2"}) {
		for range 3 {
			if _, err := Try(c.Space, net.JoinHostPort(host, "9")); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
}

// What the host cannot reach the container cannot, for the same reason.
func noRoute(t *testing.T, start Start) {
	_, c := one(t, start)
	for kind, want := range map[string]error{"unreachable": unix.EHOSTUNREACH, "prohibit": unix.EHOSTUNREACH, "gone": unix.ENETUNREACH} {
		undo := Block(t, kind)
		for _, addr := range unreachable {
			direct, err := net.DialTimeout("tcp", net.JoinHostPort(addr, "9"), Patience)
			if err == nil {
				direct.Close()
				t.Fatalf("%s is there", addr)
			}
			var host syscall.Errno
			errors.As(err, &host)
			_, err = Try(c.Space, net.JoinHostPort(addr, "9"))
			if kind == "prohibit" && host == unix.EACCES && errors.Is(err, want) {
				continue // with IPv4, no ICMP error says EACCES
			}
			if !errors.Is(err, host) {
				t.Errorf("%s: %s is %v for the host, and for the container: %v", kind, addr, host, err)
			}
		}
		undo()
	}
}

// A world that does not answer is nothing to the container: no refusal, and no connection.
func silent(t *testing.T, start Start) {
	_, c := one(t, start)
	undo := Block(t, "blackhole")
	defer undo()
	for _, addr := range worlds {
		err := c.Do(func() error {
			_, err := net.DialTimeout("tcp", net.JoinHostPort(addr, "9"), 1500*time.Millisecond)
			return err
		})
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// Each side can end its stream while the other goes on.
func halfClose(t *testing.T, start Start) {
	_, c := one(t, start)
	const size = 3 << 20
	for _, host := range hosts {
		target := Listen(t, nil, net.JoinHostPort(host, "0"), func(c *net.TCPConn) { // all in, then all out
			data, err := io.ReadAll(c)
			if err == nil {
				c.Write(data)
			}
		})
		conn := Dial(t, c.Space, target.String())
		conn.Write(Payload(size, 1))
		conn.CloseWrite()
		if back, err := io.ReadAll(conn); err != nil || !bytes.Equal(back, Payload(size, 1)) {
			t.Errorf("%s: %d of %d octets came back: %v", host, len(back), size, err)
		}

		got := make(chan []byte, 1)
		target = Listen(t, nil, net.JoinHostPort(host, "0"), func(c *net.TCPConn) {
			c.Write(Payload(size, 2))
			c.CloseWrite()
			data, _ := io.ReadAll(c)
			got <- data
		})
		conn = Dial(t, c.Space, target.String())
		if data, err := io.ReadAll(conn); err != nil || !bytes.Equal(data, Payload(size, 2)) {
			t.Errorf("%s: %d of %d octets came: %v", host, len(data), size, err)
		}
		conn.Write(Payload(size, 3))
		conn.CloseWrite()
		if data := <-got; !bytes.Equal(data, Payload(size, 3)) {
			t.Errorf("%s: %d of %d octets arrived after the world's end", host, len(data), size)
		}
	}
}

func resetByWorld(t *testing.T, start Start) {
	_, c := one(t, start)
	for _, host := range hosts {
		target := Listen(t, nil, net.JoinHostPort(host, "0"), func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			c.SetLinger(0)
		})
		conn := Dial(t, c.Space, target.String())
		conn.Write([]byte("x"))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func resetByContainer(t *testing.T, start Start) {
	_, c := one(t, start)
	for _, host := range hosts {
		result := make(chan error, 1)
		target := Listen(t, nil, net.JoinHostPort(host, "0"), func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			c.Write([]byte("y"))
			_, err := c.Read(make([]byte, 1))
			result <- err
		})
		conn := Dial(t, c.Space, target.String())
		conn.Write([]byte("x"))
		conn.Read(make([]byte, 1))
		conn.SetLinger(0)
		conn.Close()
		if err := <-result; !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// A server that answers and closes before it has read everything resets the
// connection. As far as its answer has left it by then, it arrives nevertheless.
func answerThenReset(t *testing.T, start Start) {
	_, c := one(t, start)
	answer := Payload(20_000, 4)
	for _, host := range hosts {
		target := Listen(t, nil, net.JoinHostPort(host, "0"), func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			c.Write(answer)
		})
		for range 50 {
			conn := Dial(t, c.Space, target.String())
			conn.Write(make([]byte, 3000))
			if _, err := io.ReadFull(conn, make([]byte, len(answer))); err != nil {
				t.Errorf("%s: %v", host, err)
			}
			if _, err := io.ReadAll(conn); !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("%s: after the answer: %v", host, err)
			}
			conn.Close()
		}
	}
}

// Who reads slowly gets all nevertheless, while others are not held up.
func slowReader(t *testing.T, start Start) {
	_, c := one(t, start)
	data := Payload(30<<20, 5)
	target := Listen(t, nil, net.JoinHostPort(hosts[0], "0"), func(c *net.TCPConn) { c.Write(data) })
	echoes := Listen(t, nil, net.JoinHostPort(hosts[0], "0"), echo)
	slow := Dial(t, c.Space, target.String())
	head := make([]byte, 1)
	if _, err := io.ReadFull(slow, head); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		other := Dial(t, c.Space, echoes.String())
		if err := Echo(other, Payload(100_000, 6)); err != nil {
			t.Error(err)
		}
		other.Close()
	}
	if rest, err := io.ReadAll(slow); err != nil || !bytes.Equal(rest, data[1:]) {
		t.Errorf("%d of %d octets came: %v", len(rest)+1, len(data), err)
	}
}

// Reuse connects from a certain port, as soon as the last connection from there has ended.
func Reuse(s *space.Space, from, to netip.AddrPort) (c *net.TCPConn, err error) {
	err = s.Do(func() error {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: Patience, Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		}}
		conn, err := d.Dial("tcp", to.String())
		// The acknowledgement of the last connection's end may still be on its way.
		for end := time.Now().Add(Patience); errors.Is(err, unix.EADDRNOTAVAIL) && time.Now().Before(end); time.Sleep(time.Millisecond) {
			conn, err = d.Dial("tcp", to.String())
		}
		if err != nil {
			return err
		}
		c = conn.(*net.TCPConn)
		c.SetDeadline(time.Now().Add(Patience))
		return nil
	})
	return c, err
}

// A port that is used again at once gets the new connection, whoever has closed the
// old one first.
func portsAgain(t *testing.T, start Start) {
	_, c := one(t, start)
	for family, host := range hosts {
		source := c.Member.Attachment.Endpoints[0].IPv4.Addr()
		if family == 1 {
			source = c.Member.Attachment.Endpoints[0].IPv6.Addr()
		}
		first := Listen(t, nil, net.JoinHostPort(host, "0"), oneAnswer)
		second := Listen(t, nil, net.JoinHostPort(host, "0"), func(c *net.TCPConn) {
			ask := make([]byte, 8)
			if _, err := io.ReadFull(c, ask); err == nil {
				c.Write(ask)
				c.Read(ask)
			}
		})
		for i := range 200 {
			conn, err := Reuse(c.Space, netip.AddrPortFrom(source, 4000), first)
			if err != nil {
				t.Fatalf("server closing first, round %d: %v", i, err)
			}
			if err := askOnce(conn, uint64(i), true); err != nil {
				t.Fatalf("server closing first, round %d: %v", i, err)
			}
		}
		for i := range 200 {
			conn, err := Reuse(c.Space, netip.AddrPortFrom(source, 4001), second)
			if err != nil {
				t.Fatalf("client resetting, round %d: %v", i, err)
			}
			conn.SetLinger(0) // else the container's own TIME_WAIT is in the way
			if err := askOnce(conn, uint64(i), false); err != nil {
				t.Fatalf("client resetting, round %d: %v", i, err)
			}
		}
	}
}

func oneAnswer(c *net.TCPConn) {
	ask := make([]byte, 8)
	if _, err := io.ReadFull(c, ask); err == nil {
		c.Write(ask)
	}
}

// askOnce wants an answer that only this connection can have, and closes.
func askOnce(c *net.TCPConn, n uint64, toTheEnd bool) error {
	defer c.Close()
	ask, back := binary.BigEndian.AppendUint64(nil, n), make([]byte, 9)
	if _, err := c.Write(ask); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, back[:8]); err != nil {
		return err
	}
	if !bytes.Equal(back[:8], ask) {
		return fmt.Errorf("the answer is %x, of another connection", back[:8])
	}
	if toTheEnd {
		if n, err := c.Read(back); n != 0 || err != io.EOF {
			return fmt.Errorf("after the answer: %d octets, %v", n, err)
		}
	}
	return nil
}

// Thousands of connections, several at once, each with an answer of its own; the
// server or the client closes first.
func shortConnections(t *testing.T, start Start) {
	l, c := one(t, start)
	other := l.Container(l.Network(91, 1500))
	for _, serverFirst := range []bool{true, false} {
		handle := oneAnswer
		if !serverFirst {
			handle = func(c *net.TCPConn) { oneAnswer(c); c.Read(make([]byte, 1)) }
		}
		var all sync.WaitGroup
		for i, s := range append(c.Threads(t, 2), other.Threads(t, 2)...) {
			target := Listen(t, nil, net.JoinHostPort(hosts[i%2], "0"), handle)
			all.Go(func() {
				for n := range uint64(700) {
					conn, err := Try(s, target.String())
					if err == nil {
						err = askOnce(conn, uint64(i)<<32|n, serverFirst)
					}
					if err != nil {
						t.Errorf("client %d, connection %d, server first %t: %v", i, n, serverFirst, err)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// Many connections at once, all of which work: as many as this process may have descriptors for,
// of which each takes four.
func manyFlows(t *testing.T, start Start) {
	_, c := one(t, start)
	target := Listen(t, nil, net.JoinHostPort(hosts[0], "0"), echo)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	conns := make([]*net.TCPConn, min(2000, limit.Cur/8))
	for i := range conns {
		conns[i] = Dial(t, c.Space, target.String())
	}
	for i, conn := range conns {
		if err := Echo(conn, Payload(64, uint32(i))); err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
	}
}
