package ports

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// whoami answers each connection with the client's address as it sees it.
func whoami(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
		conn.Close()
	}
}

// The container sees who talks to it: each client by its own address, the host itself
// by N's.
func TestClientAddress(t *testing.T) {
	l := newLab(t)
	both, four := l.container(""), l.container("4")
	go whoami(l.listenIn(both, 80))
	go whoami(l.listenIn(four, 80))
	p, q := l.publish(both, tcp(80)), l.publish(four, tcp(80))
	for _, c := range []struct {
		from           *space.Space
		source, target string
		port           uint16
		want           string
	}{
		{netlab.World(), "192.0.2.1:0", "192.0.2.10", p, "192.0.2.1"},
		{netlab.World(), "192.0.2.2:0", "192.0.2.11", p, "192.0.2.2"},
		{netlab.World(), "[2001:db8::1]:0", "2001:db8::10", p, "2001:db8::1"},
		{netlab.World(), "[2001:db8::2]:0", "2001:db8::10", p, "2001:db8::2"},
		{nil, "", "127.0.0.1", p, "10.90.1.1"},
		{nil, "", "::1", p, "fd00:1::1"},
		{nil, "", "192.0.2.10", p, "192.0.2.10"},
		{netlab.World(), "192.0.2.1:0", "192.0.2.10", q, "192.0.2.1"},
		{netlab.World(), "[2001:db8::1]:0", "2001:db8::10", q, "10.90.2.1"},
	} {
		target := netip.AddrPortFrom(netip.MustParseAddr(c.target), c.port).String()
		conn, err := l.dial(c.from, "tcp", c.source, target)
		l.check(err)
		text, err := io.ReadAll(conn)
		l.check(err)
		if string(text) != c.want {
			t.Errorf("from %s to %s: the container sees %q, want %s", c.source, target, text, c.want)
		}
		conn.Close()
	}
}

// An end of one direction passes while the other goes on.
func TestHalfClose(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		all, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "got %d", len(all))
		conn.Close()
	}()
	port := l.publish(c, tcp(80))
	conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", port))
	l.check(err)
	data := make([]byte, 5<<20)
	conn.Write(data)
	conn.(*net.TCPConn).CloseWrite()
	text, err := io.ReadAll(conn)
	if want := fmt.Sprint("got ", len(data)); string(text) != want || err != nil {
		t.Errorf("answer %q, %v; want %q", text, err, want)
	}
}

// A reset on one side is one on the other, and a container that does not listen resets.
func TestReset(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	port := l.publish(c, tcp(80), tcp(81))
	pair := func() (client, server *net.TCPConn) {
		conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", port))
		l.check(err)
		got, err := listener.Accept()
		l.check(err)
		return conn.(*net.TCPConn), got.(*net.TCPConn)
	}
	resets := func(what string, conn net.Conn) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: reading gives %v, want a reset", what, err)
		}
	}
	client, server := pair()
	server.SetLinger(0)
	server.Close()
	resets("reset by the server", client)
	client, server = pair()
	client.SetLinger(0)
	client.Close()
	resets("reset by the client", server)

	bound := l.publish(c, tcp(81))
	refused, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", bound))
	if err == nil {
		resets("nobody listens", refused)
	} else if !errors.Is(err, unix.ECONNRESET) {
		t.Error("nobody listens:", err)
	}
	if n := c.member.Pending.Load(); n != 0 {
		t.Errorf("%d pending, want none", n)
	}
}

// What the container sent before it ended is delivered; its connections end.
func TestWithdraw(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	port := l.publish(c, tcp(80), udp(80))
	address := fmt.Sprintf("192.0.2.10:%d", port)
	var clients [2]net.Conn
	var servers [2]net.Conn
	for i := range clients {
		var err error
		clients[i], err = l.dial(netlab.World(), "tcp", "", address)
		l.check(err)
		servers[i], err = listener.Accept()
		l.check(err)
	}
	defer servers[1].Close() // not before, by the collector of garbage
	fmt.Fprint(servers[0], "last words")
	servers[0].Close()
	l.awaitSent(c)
	l.publisher.Withdraw(c.member.ID())
	if again, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err != nil {
		t.Error("the port is not free:", err)
	} else {
		again.Close()
	}
	if text, err := io.ReadAll(clients[0]); string(text) != "last words" || err != nil {
		t.Errorf("client reads %q, %v", text, err)
	}
	clients[1].SetReadDeadline(time.Now().Add(patience))
	if _, err := clients[1].Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("an open connection reads %v, want a reset", err)
	}
}

// Connections that carry much are shared evenly by the loops, and end with their container
// wherever they are.
func TestStreams(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go io.Copy(io.Discard, conn)
		}
	}()
	port := l.publish(c, tcp(80))
	loops := l.publisher.loops
	var all sync.WaitGroup
	for range 2 * len(loops) {
		conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", port))
		l.check(err)
		defer conn.Close()
		all.Go(func() {
			for data := make([]byte, 1<<20); err == nil; _, err = conn.Write(data) {
			}
		})
	}
	taken := l.publisher.published[c.member.ID()].taken
	spread := func() bool {
		taken.mu.Lock()
		defer taken.mu.Unlock()
		return !slices.ContainsFunc(loops, func(l *loop) bool {
			n := 0
			for c := range taken.open {
				if c.Here(l.Loop) {
					n++
				}
			}
			return n != 2
		})
	}
	for end := time.Now().Add(time.Minute); !spread(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the loops do not share the streams")
		}
	}
	l.publisher.Withdraw(c.member.ID())
	all.Wait()
	for end := time.Now().Add(time.Minute); !taken.empty(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a connection is kept")
		}
	}
}

func (t *taken) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open) == 0
}

// awaitSent returns when what a container's closed sockets had to say has arrived in N:
// none is in the state FIN_WAIT1 any longer, which proc_net_tcp shows as 04.
func (l *lab) awaitSent(c *container) {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var table []byte
		l.check(c.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/tcp")
			return err
		}))
		if !bytes.Contains(table, []byte(" 04 ")) {
			return
		}
		if time.Now().After(end) {
			l.t.Fatal("a closed socket is not rid of its data")
		}
	}
}

// Two thousand connections at a time, all bytes checked, in both directions at once.
func TestManyConnections(t *testing.T) {
	l := newLab(t)
	c := l.container("")
	listener := l.listenIn(c, 80)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(conn, conn); conn.Close() }()
		}
	}()
	port := l.publish(c, tcp(80))
	data := make([]byte, 100<<10)
	rand.Read(data)
	var all sync.WaitGroup
	limit := make(chan struct{}, 500)
	for i := range 2000 {
		limit <- struct{}{}
		target := []string{"192.0.2.10", "[2001:db8::10]"}[i%2]
		conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("%s:%d", target, port))
		l.check(err)
		size := []int{1, 1000, 100 << 10}[i%3]
		all.Go(func() {
			defer func() { <-limit }()
			defer conn.Close()
			go func() { conn.Write(data[:size]); conn.(*net.TCPConn).CloseWrite() }()
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data[:size]) {
				t.Errorf("connection %d: %d bytes come back, %v; want %d", i, len(got), err, size)
			}
		})
	}
	all.Wait()
}

// One tuple can be used again at once, whoever closed first.
func TestTupleAgain(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	port := l.publish(c, tcp(80))
	go func() {
		for i := 0; ; i++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if fmt.Fprint(conn, conn.RemoteAddr()); i%2 == 0 {
				io.Copy(io.Discard, conn) // the client closes first
			}
			conn.Close()
		}
	}()
	for i := range 100 {
		conn := l.fromOnePort(port)
		buffer := make([]byte, 100)
		n, err := read(conn, buffer)
		if err != nil || string(buffer[:n]) != "192.0.2.1:20000" {
			t.Fatalf("round %d: answer %q, %v", i, buffer[:max(n, 0)], err)
		}
		if i%2 == 1 {
			read(conn, buffer) // the server closes first
		}
		// The world's own TIME_WAIT would bar the tuple there.
		unix.SetsockoptLinger(conn, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: int32((i + 1) % 2)})
		unix.Close(conn)
	}
}

// read goes on after a signal of the Go runtime's: with a time limit the kernel does not (signal(7)).
func read(conn int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(conn, b); err != unix.EINTR {
			return n, err
		}
	}
}

// fromOnePort connects to the host as 192.0.2.1:20000.
func (l *lab) fromOnePort(port uint16) (conn int) {
	l.t.Helper()
	l.check(netlab.World().Do(func() (err error) {
		conn, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			unix.SetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience / time.Second)})
			err = unix.Bind(conn, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}, Port: 20000})
		}
		for end := time.Now().Add(patience); err == nil; {
			err = unix.Connect(conn, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 10}, Port: int(port)})
			if !errors.Is(err, unix.EADDRNOTAVAIL) || time.Now().After(end) {
				break
			}
			err = nil // the last acknowledgement of the connection before is on its way still
		}
		return err
	}))
	return conn
}

// A client that has reset a connection is seen as itself when it comes again from the same
// port, though the container has not read what it sent before. One that is still connected, by another
// port of the host's, goes on.
func TestTupleOfUnreadConnection(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	port, other := l.publish(c, tcp(80)), uint16(0)
	bound, err := l.publisher.Publish(c.member, []store.Port{tcp(80), tcp(80)}, []store.Port{{HostIP: "0.0.0.0", HostPort: port, ContainerPort: 80, Protocol: "tcp"}}, nil)
	l.check(err)
	for _, p := range bound {
		if p.HostPort != port {
			other = p.HostPort
		}
	}
	accept := func() net.Conn {
		t.Helper()
		conn, err := listener.Accept()
		l.check(err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	const as = "192.0.2.1:20000"
	data := make([]byte, 1<<20)
	for range 3 {
		client := l.fromOnePort(port)
		unread := accept()
		if got := unread.RemoteAddr().String(); got != as {
			t.Errorf("the client is seen as %s", got)
		}
		unix.SetsockoptTimeval(client, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: 300_000})
		for err = nil; err == nil; {
			_, err = unix.Write(client, data)
		}
		unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(client)
	}

	client := l.fromOnePort(port)
	defer unix.Close(client)
	inside := accept()
	second := l.fromOnePort(other)
	defer unix.Close(second)
	if got := accept().RemoteAddr().String(); got == as {
		t.Error("one tuple is two connections'")
	}
	unix.Write(client, []byte("hello"))
	if _, err := io.ReadFull(inside, make([]byte, 5)); err != nil {
		t.Errorf("the first connection: %v", err)
	}
}

// A helper that comes after another one gets the same ports, and connections go on working.
func TestRestart(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	go whoami(l.listenIn(c, 80))
	want := []store.Port{tcp(80), udp(53)}
	before, err := l.publisher.Publish(c.member, want, nil, nil)
	l.check(err)
	conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", before[0].HostPort))
	l.check(err)
	io.ReadAll(conn)
	conn.Close()
	l.publisher.Close()
	l.start()
	after, err := l.publisher.Publish(c.member, want, before, nil)
	l.check(err)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("bound %v before, %v after", before, after)
	}
	conn, err = l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", after[0].HostPort))
	l.check(err)
	if text, _ := io.ReadAll(conn); string(text) != "192.0.2.1" {
		t.Errorf("the container sees %q", text)
	}
	conn.Close()
}

// Publishing again leaves what stays the same, and ends what is not wanted any longer.
func TestPublishAgain(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	first, err := l.publisher.Publish(c.member, []store.Port{tcp(80), tcp(81)}, nil, nil)
	l.check(err)
	conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", first[0].HostPort))
	l.check(err)
	server, err := listener.Accept()
	l.check(err)
	second, err := l.publisher.Publish(c.member, []store.Port{tcp(80)}, nil, nil)
	l.check(err)
	if first[0] != second[0] || len(second) != 2 {
		t.Errorf("bound %v, then %v", first, second)
	}
	fmt.Fprint(server, "still here")
	server.Close()
	if text, err := io.ReadAll(conn); string(text) != "still here" {
		t.Errorf("client reads %q, %v", text, err)
	}
	if free, err := net.Listen("tcp", fmt.Sprintf(":%d", first[2].HostPort)); err != nil {
		t.Error("the second port is not free:", err)
	} else {
		free.Close()
	}
}

// Ports that cannot be had are told in words, and nothing stays bound.
func TestErrors(t *testing.T) {
	l := newLab(t)
	c, other := l.container("4"), l.container("4")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	l.check(err)
	defer taken.Close()
	me, _ := os.ReadFile("/proc/self/comm")
	busy := taken.Addr().(*net.TCPAddr).AddrPort().Port()
	mine := l.publish(other, store.Port{HostIP: "0.0.0.0", ContainerPort: 80, Protocol: "tcp"})
	for _, e := range []struct {
		want store.Port
		text string
	}{
		{store.Port{HostPort: busy, ContainerPort: 80, Protocol: "tcp"}, fmt.Sprintf("publishing port %d/tcp: the address 0.0.0.0:%d is already in use by %q (process %d)", busy, busy, strings.TrimSpace(string(me)), os.Getpid())},
		{store.Port{HostPort: mine, ContainerPort: 80, Protocol: "tcp"}, fmt.Sprintf("publishing port %d/tcp: Bind for 0.0.0.0:%d failed: port is already allocated, to container \"box2\"", mine, mine)},
		{store.Port{HostIP: "203.0.113.9", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, "publishing port 8080/tcp: 203.0.113.9 is not an address of this machine"},
		{store.Port{HostPort: 8080, ContainerPort: 80, Protocol: "sctp"}, "only tcp and udp"},
		{store.Port{HostPort: busy, HostPortEnd: busy, ContainerPort: 80, Protocol: "tcp"}, "already in use"},
	} {
		free := store.Port{ContainerPort: 90, Protocol: "tcp"}
		_, err := l.publisher.Publish(c.member, []store.Port{free, e.want}, nil, nil)
		if err == nil || !strings.HasPrefix(err.Error(), e.text) && !strings.Contains(err.Error(), e.text) {
			t.Errorf("publishing %+v: %v; want %q", e.want, err, e.text)
		}
	}
	if l.publisher.published[c.member.ID()] != nil {
		t.Error("something of it is published")
	}
}

// A container that is taken off a network keeps no connection to its address there, which
// is the next one's.
func TestAddressGone(t *testing.T) {
	l := newLab(t)
	c := l.container("4")
	listener := l.listenIn(c, 80)
	port := l.publish(c, tcp(80), udp(80))
	conn, err := l.dial(netlab.World(), "tcp", "", fmt.Sprintf("192.0.2.10:%d", port))
	l.check(err)
	defer conn.Close()
	inside, err := listener.Accept()
	l.check(err)
	defer inside.Close()
	fmt.Fprint(inside, "hello")
	_, err = io.ReadFull(conn, make([]byte, 5))
	l.check(err)
	moved := *c.member.Attachment
	moved.Endpoints = slices.Clone(moved.Endpoints)
	moved.Endpoints[0].IPv4 = netip.MustParsePrefix("10.90.1.3/24")
	c.member = &member.Member{Attachment: &moved, Networks: c.member.Networks, Pending: c.member.Pending}
	l.publish(c, tcp(80), udp(80))
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
}
