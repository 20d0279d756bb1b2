package netstack

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/tcptest"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// settled waits until nothing is held any more.
func settled(t testing.TB, p *Path) {
	t.Helper()
	for end := time.Now().Add(tcptest.Patience); p.Flows() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d flows are left", p.Flows())
		}
	}
}

func answer(c *net.TCPConn) {
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		c.Write(b)
	}
}

func ask(c *net.TCPConn) error {
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// syn makes a container's SYN.
func syn(src, dst netip.Addr, srcPort, dstPort uint16) []byte {
	ip := tun.IP{Src: src, Dst: dst, Proto: unix.IPPROTO_TCP}
	b := ip.Append(nil, 20)
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, srcPort)
	b = binary.BigEndian.AppendUint16(b, dstPort)
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, tun.SYN, 0xff, 0xff, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[at+16:], tun.Checksum(b[at:], ip.Pseudo(20)))
	return b
}

// A container that begins and never goes on holds its share for a moment, and nothing afterwards.
func TestFlood(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 1500))
	undo := tcptest.Block(t, "blackhole")
	defer undo()
	src := c.Member.Attachment.Endpoints[0].IPv4.Addr()
	for port := range uint16(5000) {
		packet, err := tun.Parse(syn(src, netip.MustParseAddr("192.0.2.1"), 10000+port, 9))
		if err != nil {
			t.Fatal(err)
		}
		p.Handle(&packet)
	}
	if n := p.Flows(); n == 0 || n > maxPending {
		t.Errorf("%d flows", n)
	}
	settled(t, p)
	if n := c.Member.Pending.Load(); n != 0 {
		t.Errorf("%d are pending", n)
	}
}

// Whose address nobody has is not served.
func TestStranger(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	packet, err := tun.Parse(syn(netip.MustParseAddr("10.90.0.77"), netip.MustParseAddr("192.0.2.1"), 1000, 9))
	if err != nil {
		t.Fatal(err)
	}
	p.Handle(&packet)
	if n := p.Flows(); n != 0 {
		t.Errorf("%d flows", n)
	}
}

// The connections of a container that leaves are reset, and leave no descriptor.
func TestLeave(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 1500))
	ended := make(chan error, 1)
	target := tcptest.Listen(t, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		b := make([]byte, 1)
		io.ReadFull(c, b)
		c.Write(b)
		_, err := c.Read(b)
		ended <- err
	})
	conn := tcptest.Dial(t, c.Space, target.String())
	if err := ask(conn); err != nil {
		t.Fatal(err)
	}
	l.Directory.Remove(c.Member.ID())
	p.Leave(c.Member.Attachment.Endpoints[0].IPv4.Addr())
	if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the host saw %v", err)
	}
	settled(t, p)
}

// A new helper carries on; what was open under the killed one is reset.
func TestRestart(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 1500))
	target := tcptest.Listen(t, nil, "192.0.2.10:0", answer)
	old := tcptest.Dial(t, c.Space, target.String())
	if err := ask(old); err != nil {
		t.Fatal(err)
	}
	l.Device.Close() // first: nobody says farewell
	p.Close()
	l.Open()
	again, err := Start(Config{Device: l.Device, Directory: l.Directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	l.Serve(again)
	if err := ask(tcptest.Dial(t, c.Space, target.String())); err != nil {
		t.Error(err)
	}
	if err := ask(old); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the old connection: %v", err)
	}
}

// Connections that come and go leave no descriptor and no goroutine's work behind.
func TestNothingIsLeft(t *testing.T) {
	l := tcptest.New(t)
	p := begin(t, l)
	c := l.Container(l.Network(90, 1500))
	target := tcptest.Listen(t, nil, "192.0.2.10:0", answer)
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := count()
	for range 100 {
		conn := tcptest.Dial(t, c.Space, target.String())
		if err := ask(conn); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	settled(t, p)
	for end := time.Now().Add(tcptest.Patience); count() > before+5; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, %d before", count(), before)
		}
	}
}

func FuzzHandle(f *testing.F) {
	l := tcptest.New(f)
	p := begin(f, l)
	c := l.Container(l.Network(90, 1500))
	e := c.Member.Attachment.Endpoints[0]
	for _, b := range [][]byte{
		syn(e.IPv4.Addr(), netip.MustParseAddr("192.0.2.10"), 1000, 9),
		syn(e.IPv6.Addr(), netip.MustParseAddr("2001:db8::10"), 1000, 9),
	} {
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, partial bool) {
		packet, err := tun.Parse(b)
		if err != nil {
			return
		}
		packet.Offload.NeedsChecksum = partial
		p.Handle(&packet)
		if p.Flows() > maxPending {
			t.Error(p.Flows())
		}
	})
}
