package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/internal/outlab"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// raw is a socket with which the container sends what it likes.
func raw(t testing.TB, l *outlab.Lab) (send func(srcPort, dstPort uint16, payload int)) {
	t.Helper()
	var fd int
	outlab.Do(t, l.Container, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func(srcPort, dstPort uint16, payload int) {
		b := appendHeader(nil, srcPort, dstPort, headerLen+payload, 0)
		if err := unix.Sendto(fd, append(b, make([]byte, payload)...), 0, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}}); err != nil {
			t.Fatal(err)
		}
	}
}

// A container that goes through all ports gets its share and no more, while another
// of its flows that is in use goes on; what it held is given back.
func TestBounds(t *testing.T) {
	l, p := start(t, 1500)
	server := outlab.Packets(t, nil, "192.0.2.10:0")
	echo(server)
	c := outlab.Dial(t, l.Container, "udp", server.LocalAddr().String())
	roundTrip(t, c, []byte("before"))
	before := descriptors(t)
	send := raw(t, l)
	for port := range uint16(5000) {
		send(20000+port, 9, 10)
		if n := p.Flows(); n > perContainer {
			t.Fatalf("%d flows", n)
		}
		if port%100 == 0 {
			roundTrip(t, c, []byte("in between"))
		}
	}
	if n := descriptors(t); n > before+perContainer+1 {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	// What has been idle makes room.
	time.Sleep(1100 * time.Millisecond)
	roundTrip(t, c, []byte("still there"))
	for range 20 {
		other := outlab.Dial(t, l.Container, "udp", server.LocalAddr().String())
		roundTrip(t, other, []byte("new"))
	}
	p.Forget("lab-container")
	if n := p.Flows(); n != 0 {
		t.Errorf("%d flows after the container has left", n)
	}
	if n := descriptors(t); n > before+30 {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

// An address that another container has got is not served by the old one's sockets.
func TestAddressOfAnother(t *testing.T) {
	l, p := start(t, 1500)
	server := outlab.Packets(t, nil, "192.0.2.10:0")
	client := outlab.Packets(t, l.Container, "10.90.0.2:0")
	client.WriteToUDP([]byte("x"), server.LocalAddr().(*net.UDPAddr))
	_, from, err := server.ReadFromUDPAddrPort(make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	l.Directory.Remove("lab-container")
	l.Join("another", true)
	server.WriteToUDPAddrPort([]byte("for the old one"), from)
	for end := time.Now().Add(outlab.Patience); p.Flows() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the old flow lives")
		}
	}
	client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := client.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d octets came", n)
	}
}

// A program with thousands of peers is one flow, and hears from the last of them.
func TestManyPeers(t *testing.T) {
	l, p := start(t, 65520)
	client := outlab.Packets(t, l.Container, "10.90.0.2:0")
	server := outlab.Packets(t, nil, "192.0.2.11:0")
	echo(server)
	for i := range 5000 {
		addr := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		client.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(addr, 9))
	}
	// The queue is full of what went before: the first may be lost.
	heard := false
	for end := time.Now().Add(outlab.Patience); !heard && time.Now().Before(end); {
		client.WriteToUDP([]byte("x"), server.LocalAddr().(*net.UDPAddr))
		client.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, from, err := client.ReadFromUDPAddrPort(make([]byte, 100))
		heard = err == nil && from.Addr() == netip.MustParseAddr("192.0.2.11")
	}
	if !heard {
		t.Error("nothing came")
	}
	if p.Flows() != 1 {
		t.Errorf("%d flows", p.Flows())
	}
}

func FuzzHandle(f *testing.F) {
	_, p := start(f, 1500)
	for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
		ip := tun.IP{Src: outlab.Container4, Dst: netip.MustParseAddr(to), Proto: unix.IPPROTO_UDP}
		if ip.Dst.Is6() {
			ip.Src = outlab.Container6
		}
		b := append(appendHeader(nil, 1000, 9, headerLen+4, 0), "data"...)
		binary.BigEndian.PutUint16(b[6:], tun.Checksum(b, ip.Pseudo(len(b))))
		f.Add(append(ip.Append(nil, len(b)), b...), false, uint8(0), uint16(0))
		f.Add(append(ip.Append(nil, len(b)), b...), true, uint8(tun.GSOUDP), uint16(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, partial bool, gso uint8, segment uint16) {
		if packet, err := tun.Parse(b); err == nil {
			packet.Offload = tun.Offload{NeedsChecksum: partial, GSO: gso, SegmentSize: segment}
			p.Handle(&packet)
		}
		if p.Flows() > perContainer {
			t.Error(p.Flows())
		}
	})
}
