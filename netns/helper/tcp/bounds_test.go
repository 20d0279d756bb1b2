package tcp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/link"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tcptest"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// segment is a TCP packet without data.
func segment(src, dst netip.AddrPort, seq uint32, flags byte) []byte {
	ip := tun.IP{Src: src.Addr(), Dst: dst.Addr(), Proto: unix.IPPROTO_TCP}
	t := []byte{
		byte(src.Port() >> 8), byte(src.Port()), byte(dst.Port() >> 8), byte(dst.Port()),
		byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq), 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0,
	}
	sum := tun.Checksum(t, ip.Pseudo(len(t)))
	t[16], t[17] = byte(sum>>8), byte(sum)
	return append(ip.Append(nil, len(t)), t...)
}

// raw is a socket that sends whole IPv4 packets from a namespace, and sees the TCP packets that come there.
func raw(t testing.TB, s *space.Space) int {
	t.Helper()
	var fd int
	err := s.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_HDRINCL, 1)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	timeout := unix.NsecToTimeval(tcptest.Patience.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	return fd
}

func flood(t testing.TB, fd int, src netip.Addr, dst netip.AddrPort, n int) {
	t.Helper()
	to := &unix.SockaddrInet4{Addr: dst.Addr().As4()}
	for i := range n {
		if err := unix.Sendto(fd, segment(netip.AddrPortFrom(src, uint16(1024+i)), dst, uint32(i), tun.SYN), 0, to); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for what happens on other goroutines.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(tcptest.Patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func echo(c *net.TCPConn) { io.Copy(c, struct{ io.Reader }{c}) }

func address4(c *tcptest.Container) netip.Addr { return c.Member.Attachment.Endpoints[0].IPv4.Addr() }

// A container that opens connections without end, to where nobody answers, holds so
// many and no more; another one does not notice, and in the end nothing is left.
func TestFlood(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	n := l.Network(90, 65520)
	bad, good := l.Container(n), l.Container(n)
	target := tcptest.Listen(t, nil, "192.0.2.10:0", echo)
	undo := tcptest.Block(t, "blackhole")
	fd := raw(t, bad.Space)
	for range 3 {
		flood(t, fd, address4(bad), netip.MustParseAddrPort("192.0.2.1:9"), 5000)
		c := tcptest.Dial(t, good.Space, target.String())
		if err := tcptest.Echo(c, tcptest.Payload(100_000, 1)); err != nil {
			t.Error(err)
		}
		c.Close()
		if pending := bad.Member.Pending.Load(); pending > maxPending {
			t.Errorf("%d are pending", pending)
		}
	}
	if pending := bad.Member.Pending.Load(); pending < maxPending/2 {
		t.Errorf("%d are pending: no flood at all", pending)
	}
	undo()
	until(t, "the flood is gone", func() bool { return p.Flows() == 0 && bad.Member.Pending.Load() == 0 })
}

// Handshakes that the container does not finish are given up, and the world hears of it.
func TestHalfOpen(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 65520))
	ends := make(chan error, 300)
	target := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		_, err := c.Read(make([]byte, 1))
		ends <- err
	})
	flood(t, raw(t, c.Space), address4(c), target, 300)
	for range 300 {
		if err := <-ends; !errors.Is(err, unix.ECONNRESET) {
			t.Fatal(err)
		}
	}
	until(t, "nothing is left", func() bool { return p.Flows() == 0 && c.Member.Pending.Load() == 0 })
}

// Sources that nobody has get nothing, and segments of connections that nobody knows a reset.
func TestStrangers(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 65520))
	target := tcptest.Listen(t, nil, "192.0.2.10:0", echo)
	for _, flags := range []byte{tun.SYN, tun.ACK, tun.FIN | tun.SYN, 0, 0xff} {
		packet, err := tun.Parse(segment(netip.MustParseAddrPort("10.90.0.77:5"), target, 1, flags))
		if err != nil {
			t.Fatal(err)
		}
		p.Handle(&packet)
	}
	if p.Flows() != 0 {
		t.Error("a stranger has a flow")
	}

	fd := raw(t, c.Space)
	stale := segment(netip.AddrPortFrom(address4(c), 5), target, 7, tun.ACK)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	got := make([]byte, 200)
	size, err := 0, error(unix.EAGAIN)
	for try := 0; (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)) && try < 60; try++ { // as TCP would: a packet may be lost
		if err := unix.Sendto(fd, stale, 0, &unix.SockaddrInet4{Addr: target.Addr().As4()}); err != nil {
			t.Fatal(err)
		}
		size, _, err = unix.Recvfrom(fd, got, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	packet, err := tun.Parse(got[:size])
	if err != nil {
		t.Fatal(err)
	}
	if answer, _ := tun.ParseTCP(packet.Payload); answer.Flags != tun.RST || answer.SrcPort != target.Port() {
		t.Errorf("the answer is %+v", answer)
	}
}

// When a helper dies its containers' connections to the world end, and the next one
// carries new ones, from the same ports.
func TestNextHelper(t *testing.T) {
	l := tcptest.New(t)
	target := tcptest.Listen(t, nil, "192.0.2.10:0", echo)
	p, err := Start(Config{N: l.N, Device: l.Device, Directory: l.Directory})
	if err != nil {
		t.Fatal(err)
	}
	l.Firewall(p.ListenPort())
	ended := l.Serve(p)
	c := l.Container(l.Network(90, 65520))
	source := netip.AddrPortFrom(address4(c), 4000)
	conn, err := tcptest.Reuse(c.Space, source, target)
	if err != nil {
		t.Fatal(err)
	}
	if err := tcptest.Echo(conn, tcptest.Payload(1000, 1)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.Close()
		l.Device.Close()
		<-ended
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Error(err)
		}
		conn.Close()
		l.Open()
		if p, err = Start(Config{N: l.N, Device: l.Device, Directory: l.Directory}); err != nil {
			t.Fatal(err)
		}
		l.Firewall(p.ListenPort())
		ended = l.Serve(p)
		if conn, err = tcptest.Reuse(c.Space, source, target); err != nil {
			t.Fatal(err)
		}
		if err := tcptest.Echo(conn, tcptest.Payload(1000, 2)); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	p.Close()
}

// A container that leaves takes nothing of others along. The world hears of it, gets what
// was sent to it before, and sends nothing more to an address that is another's now.
func TestLeave(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	n := l.Network(90, 65520)
	a, b := l.Container(n), l.Container(n)
	ends := make(chan error, 50)
	idle := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		io.CopyN(c, c, 4)
		_, err := c.Read(make([]byte, 1))
		ends <- err
	})
	others := tcptest.Listen(t, nil, "192.0.2.10:0", echo)
	var of []*net.TCPConn
	for range 50 {
		if err := tcptest.Echo(tcptest.Dial(t, a.Space, idle.String()), []byte("1234")); err != nil {
			t.Fatal(err)
		}
		of = append(of, tcptest.Dial(t, b.Space, others.String()))
	}
	read, upload := make(chan struct{}), make(chan []byte, 1)
	slow := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		c.Write(tcptest.Payload(1<<20, 8)) // which the container does not read
		<-read
		all, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		upload <- all
	})
	said := tcptest.Payload(4<<20, 7)
	last := tcptest.Dial(t, a.Space, slow.String())
	if _, err := last.Write(said); err != nil {
		t.Fatal(err)
	}
	last.CloseWrite()
	secrets := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		for {
			if _, err := c.Write([]byte("secret")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	tcptest.Dial(t, a.Space, secrets.String())
	defer tcptest.Block(t, "blackhole")()
	flood(t, raw(t, a.Space), address4(a), netip.MustParseAddrPort("192.0.2.1:9"), 100)
	until(t, "the dials are under way", func() bool { return a.Member.Pending.Load() == 100 })
	until(t, "all that was said is on its way", func() bool { return unacknowledged(t, last) == 0 })

	e := &a.Member.Attachment.Endpoints[0]
	if err := l.Fire.Withdraw(link.Port(e)); err != nil { // so that the secrets are not acknowledged
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	l.Directory.Remove(a.Member.ID())
	p.Leave(e.IPv4.Addr())
	fd := raw(t, a.Space)
	for range 50 {
		if err := <-ends; !errors.Is(err, unix.ECONNRESET) {
			t.Fatalf("the world saw %v", err)
		}
	}
	close(read)
	if got := <-upload; !bytes.Equal(got, said) {
		t.Errorf("of its last words %d octets came of %d", len(got), len(said))
	}
	time.Sleep(time.Second) // in which much would be repeated
	if n, _, err := unix.Recvfrom(fd, make([]byte, 1<<16), unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("%d octets came to the address (%v)", n, err)
	}
	for _, conn := range of {
		if err := tcptest.Echo(conn, []byte("1234")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "its flows are gone", func() bool { return p.Flows() == 50 && a.Member.Pending.Load() == 0 })
}

// unacknowledged is how much of what was sent has not come to the other end, which is in N.
func unacknowledged(t testing.TB, c *net.TCPConn) (n int) {
	t.Helper()
	sysconn, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	sysconn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Flows that are stuck hold a bounded number of pipes, others go on, and nothing is lost.
func TestStuck(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	n := l.Network(90, 65520)
	bad, good := l.Container(n), l.Container(n)
	const flows = 100
	data := tcptest.Payload(8<<20, 3)
	source := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) { c.Write(data) })
	sink := tcptest.Listen(t, nil, "192.0.2.10:0", echo)
	var stuck []*net.TCPConn
	for range flows {
		stuck = append(stuck, tcptest.Dial(t, bad.Space, source.String()))
	}
	for range 20 {
		c := tcptest.Dial(t, good.Space, sink.String())
		if err := tcptest.Echo(c, tcptest.Payload(1<<20, 4)); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	if pipes := relay.Pipes(); pipes > 32 {
		t.Errorf("%d pipes are open", pipes)
	}
	for i, c := range stuck {
		if all, err := io.ReadAll(c); err != nil || !bytes.Equal(all, data) {
			t.Fatalf("flow %d: %d of %d octets: %v", i, len(all), len(data), err)
		}
		c.Close()
	}
	until(t, "nothing is left", func() bool { return p.Flows() == 0 })
	if pipes := relay.Pipes(); pipes > 4 {
		t.Errorf("%d pipes are open", pipes)
	}
}

// Urgent data comes through in its place, and what is behind it as well.
func TestUrgent(t *testing.T) {
	l := tcptest.New(t)
	begin(t, l)
	c := l.Container(l.Network(90, 65520))
	got := make(chan []byte, 1)
	target := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		got <- all
	})
	conn := tcptest.Dial(t, c.Space, target.String())
	sysconn, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	large := tcptest.Payload(4<<20, 5)
	want := bytes.Clone(large)
	conn.Write(large)
	for i := range 20 {
		sysconn.Write(func(fd uintptr) bool {
			err = syscall.Sendto(int(fd), []byte{byte(i)}, unix.MSG_OOB, nil)
			return err != unix.EAGAIN
		})
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("behind"))
		want = append(append(want, byte(i)), "behind"...)
	}
	conn.Write(large)
	conn.CloseWrite()
	want = append(want, large...)
	if all := <-got; len(all) < len(want)-20 || !bytes.HasSuffix(all, large) {
		t.Errorf("%d of %d octets arrived", len(all), len(want))
	}
}

// Flows at rest cost descriptors only, and those come back.
func TestRest(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 65520))
	before := descriptors(t)
	routines := runtime.NumGoroutine()
	var conns []*net.TCPConn
	listener, err := net.Listen("tcp", "192.0.2.10:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for range 500 {
		conns = append(conns, tcptest.Dial(t, c.Space, listener.Addr().String()))
		far, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		far.Write(make([]byte, 10))
		conns = append(conns, far.(*net.TCPConn))
	}
	for i := 0; i < len(conns); i += 2 {
		if _, err := io.ReadFull(conns[i], make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "500 flows have no goroutines", func() bool { return runtime.NumGoroutine()-routines <= 10 })
	until(t, "flows at rest hold no pipes", func() bool { return relay.Pipes() <= 4 })
	for _, c := range conns {
		c.Close()
	}
	until(t, "nothing is left", func() bool { return p.Flows() == 0 })
	until(t, "all descriptors are closed", func() bool { return descriptors(t) <= before+1 }) // the listener
}

func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A port that begins again while its first SYN is still waiting for the world gets
// the connection: its newest SYN is the one that is written back.
func TestBegunAgain(t *testing.T) {
	l := tcptest.New(t)
	begin(t, l)
	c := l.Container(l.Network(90, 65520))
	target := tcptest.Listen(t, netlab.World(), "192.0.2.1:0", echo)
	source := netip.AddrPortFrom(address4(c), 4000)
	undo := tcptest.Block(t, "blackhole")
	if err := unix.Sendto(raw(t, c.Space), segment(source, target, 12345, tun.SYN), 0, &unix.SockaddrInet4{Addr: target.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	until(t, "the dial is under way", func() bool { return c.Member.Pending.Load() == 1 })
	time.AfterFunc(200*time.Millisecond, undo)
	conn, err := tcptest.Reuse(c.Space, source, target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := tcptest.Echo(conn, tcptest.Payload(1000, 1)); err != nil {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	s := netlab.Space(t)
	for range 3 {
		if err := Probe(s); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzHandle: whatever packets a container sends, the path lives.
func FuzzHandle(f *testing.F) {
	l := tcptest.New(f)
	p, err := Start(Config{N: l.N, Device: l.Device, Directory: l.Directory})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.Close)
	l.Firewall(p.ListenPort())
	c := l.Container(l.Network(90, 65520))
	good := tcptest.Listen(f, nil, "127.0.0.1:0", echo)
	for _, flags := range []byte{tun.SYN, tun.ACK, tun.FIN, tun.RST, tun.SYN | tun.ACK} {
		f.Add(segment(netip.AddrPortFrom(address4(c), 5), netip.AddrPortFrom(netip.MustParseAddr("169.254.1.2"), good.Port()), 1, flags))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		packet, err := tun.Parse(b)
		if err != nil {
			return
		}
		if packet.Dst.Is4() && !packet.Dst.IsLinkLocalUnicast() {
			packet.Dst = netip.MustParseAddr("169.254.1.2") // nothing of it leaves this machine
		}
		p.Handle(&packet)
	})
}
