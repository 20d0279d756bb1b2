package icmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/internal/outlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/userns"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

const groups = "/proc/sys/net/ipv4/ping_group_range"

func start(t testing.TB, mtu int) (*outlab.Lab, *Path) {
	t.Helper()
	if err := os.WriteFile(groups, []byte("0 0"), 0); err != nil { // as a host's administrator does
		t.Fatal(err)
	}
	if err := Probe(); err != nil {
		t.Fatal(err)
	}
	l := outlab.New(t, mtu)
	outlab.Do(t, l.Container, func() error { return os.WriteFile(groups, []byte("0 0"), 0) })
	p, err := Start(Config{Device: l.Open(t), Directory: l.Directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l.Serve(t, tun.Handlers{ICMP: p.Handle})
	return l, p
}

// pinger is a ping socket in a container, which hears errors.
func pinger(t *testing.T, s *space.Space, to string) *os.File {
	t.Helper()
	addr := netip.MustParseAddr(to)
	var file *os.File
	outlab.Do(t, s, func() error {
		fd, err := protocol{}.Open(addr.Is6())
		if err != nil {
			return err
		}
		var sa unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte(addr.AsSlice()[:4])}
		if addr.Is6() {
			sa = &unix.SockaddrInet6{Addr: addr.As16()}
		}
		if err := unix.Connect(fd, sa); err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), to)
		return nil
	})
	t.Cleanup(func() { file.Close() })
	file.SetDeadline(time.Now().Add(outlab.Patience))
	return file
}

func request(to string, seq uint16, size int) []byte {
	kind := byte(echo4)
	if netip.MustParseAddr(to).Is6() {
		kind = echo6
	}
	b := append([]byte{kind, 0, 0, 0, 0, 0}, byte(seq>>8), byte(seq))
	return append(b, bytes.Repeat([]byte{byte(seq)}, size)...)
}

// The world, the host and big echoes answer, with what was sent.
func TestEcho(t *testing.T) {
	for _, mtu := range []int{65520, 1500} {
		l, _ := start(t, mtu)
		for _, to := range []string{"192.0.2.1", "192.0.2.10", "169.254.1.2", "2001:db8::1", "2001:db8::10"} {
			c := pinger(t, l.Container, to)
			for seq, size := range []int{0, 56, 1400, 4000} {
				if !netip.MustParseAddr(to).Is6() && size == 4000 && mtu == 65520 {
					continue // must not be fragmented: the host's own MTU is 1500
				}
				sent := request(to, uint16(seq), size)
				if _, err := c.Write(sent); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 8192)
				n, err := c.Read(got)
				if err != nil && size == 4000 && mtu == 65520 && errors.Is(err, unix.EMSGSIZE) {
					continue
				}
				if err != nil || !bytes.Equal(got[6:n], sent[6:]) {
					t.Errorf("MTU %d, %s, %d octets: %d came, %v", mtu, to, size, n, err)
				}
			}
		}
	}
}

// Who pings a destination that cannot be reached is told.
func TestErrors(t *testing.T) {
	l, _ := start(t, 1500)
	outlab.Do(t, netlab.World(), func() error { return unreachable("203.0.113.0/24", "2001:db8:3::/64") })
	for to, want := range map[string]error{"203.0.113.1": unix.EHOSTUNREACH, "2001:db8:3::1": unix.ENETUNREACH} {
		c := pinger(t, l.Container, to)
		// Kernels bound how many errors they send (icmp_ratelimit; for unreachable routes
		// twice over, which starves who asks every second): more than one try.
		err := os.ErrDeadlineExceeded
		for end := time.Now().Add(outlab.Patience); errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end); {
			c.Write(request(to, 1, 56))
			c.SetReadDeadline(time.Now().Add(3 * time.Second))
			_, err = c.Read(make([]byte, 100))
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func unreachable(networks ...string) error {
	for _, sysctl := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+sysctl, []byte("1"), 0); err != nil {
			return err
		}
	}
	for _, text := range networks {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return err
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: network, Type: unix.RTN_UNREACHABLE}); err != nil {
			return err
		}
	}
	return nil
}

// Without the administrator's leave, pings fail at once and there is a hint.
func TestNotAllowed(t *testing.T) {
	l := outlab.New(t, 1500)
	outlab.Do(t, l.Container, func() error { return os.WriteFile(groups, []byte("0 0"), 0) })
	p, err := Start(Config{Device: l.Open(t), Directory: l.Directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	host := netlab.Space(t) // as every one is at first
	l.Serve(t, tun.Handlers{ICMP: func(packet *tun.Packet) {
		host.Do(func() error { p.Handle(packet); return nil })
	}})
	if _, ok := errors.AsType[*userns.HostError](host.Do(Probe)); !ok {
		t.Error(host.Do(Probe))
	}
	c := pinger(t, l.Container, "192.0.2.1")
	c.Write(request("192.0.2.1", 1, 56))
	if _, err := c.Read(make([]byte, 100)); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Error(err)
	}
}

// A container with all identifiers holds no more than its share.
func TestBounds(t *testing.T) {
	l, p := start(t, 1500)
	var raw int
	outlab.Do(t, l.Container, func() (err error) {
		raw, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		return err
	})
	defer unix.Close(raw)
	for id := range uint16(1000) {
		b := request("192.0.2.1", 1, 8)
		binary.BigEndian.PutUint16(b[4:], id)
		binary.BigEndian.PutUint16(b[2:], tun.Checksum(b, 0))
		if err := unix.Sendto(raw, b, 0, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}}); err != nil {
			t.Fatal(err)
		}
		if n := p.flows.Len(); n > perContainer {
			t.Fatalf("%d flows", n)
		}
	}
	p.Forget("lab-container")
	for end := time.Now().Add(outlab.Patience); p.flows.Len() > 0 && time.Now().Before(end); {
		p.Forget("lab-container")
	}
	if n := p.flows.Len(); n != 0 {
		t.Errorf("%d flows are left", n)
	}
}

func FuzzHandle(f *testing.F) {
	_, p := start(f, 1500)
	for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
		ip := tun.IP{Src: outlab.Container4, Dst: netip.MustParseAddr(to), Proto: unix.IPPROTO_ICMP}
		if ip.Dst.Is6() {
			ip.Src, ip.Proto = outlab.Container6, unix.IPPROTO_ICMPV6
		}
		echo := request(to, 1, 8)
		seal(&ip, echo, 7)
		f.Add(append(ip.Append(nil, len(echo)), echo...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if packet, err := tun.Parse(b); err == nil {
			p.Handle(&packet)
		}
		if p.flows.Len() > perContainer {
			t.Error(p.flows.Len())
		}
	})
}
