package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/internal/outlab"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/store"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

func start(t testing.TB, mtu int) (*outlab.Lab, *Path) {
	t.Helper()
	l := outlab.New(t, mtu)
	return l, restart(t, l, mtu)
}

// restart is what a helper does that finds N as another one has left it.
func restart(t testing.TB, l *outlab.Lab, mtu int) *Path {
	t.Helper()
	p, err := Start(Config{Device: l.Open(t), Directory: l.Directory, MTU: func(*store.Network) int { return mtu }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l.Serve(t, tun.Handlers{UDP: p.Handle, UDPs: p.HandleAll})
	return p
}

// echo answers datagrams until the test ends, with who asked before each.
func echo(c *net.UDPConn) {
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
}

func roundTrip(t *testing.T, c net.Conn, payload []byte) {
	t.Helper()
	if _, err := c.Write(payload); err != nil {
		t.Fatalf("sending %d octets: %v", len(payload), err)
	}
	got := make([]byte, 65536)
	n, err := c.Read(got)
	if err != nil {
		t.Fatalf("%d octets: %v", len(payload), err)
	}
	if !bytes.Equal(got[:n], payload) {
		t.Fatalf("%d octets came back as %d others", len(payload), n)
	}
}

var sizes = []int{0, 1, 1400, 1472, 1473, 9000, 32768, 65507}

// Datagrams of all sizes reach the host, and answers come from the address that the container used,
// whether the container's network has a big MTU or needs fragments.
func TestDatagrams(t *testing.T) {
	for _, mtu := range []int{65520, 1500} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			l, _ := start(t, mtu)
			for _, host := range []struct{ listens, called string }{
				{"127.0.0.1", "169.254.1.2"},
				{"192.0.2.11", "192.0.2.11"},
				{"2001:db8::10", "2001:db8::10"},
			} {
				server := outlab.Packets(t, nil, net.JoinHostPort(host.listens, "0"))
				echo(server)
				port := server.LocalAddr().(*net.UDPAddr).Port
				c := outlab.Dial(t, l.Container, "udp", net.JoinHostPort(host.called, fmt.Sprint(port)))
				for _, size := range sizes {
					roundTrip(t, c, bytes.Repeat([]byte{byte(size)}, size))
				}
			}
		})
	}
}

// One socket of a container's is one of the host's, whomever it talks to.
func TestOneMappingForAllPeers(t *testing.T) {
	l, p := start(t, 1500)
	client := outlab.Packets(t, l.Container, "10.90.0.2:0")
	seen := map[netip.AddrPort]bool{}
	for _, addr := range []string{"192.0.2.10:0", "192.0.2.11:0", "192.0.2.11:0"} {
		server := outlab.Packets(t, nil, addr)
		client.WriteToUDP([]byte("x"), server.LocalAddr().(*net.UDPAddr))
		_, from, err := server.ReadFromUDPAddrPort(make([]byte, 1))
		if err != nil {
			t.Fatal(err)
		}
		seen[netip.AddrPortFrom(netip.Addr{}, from.Port())] = true
	}
	if len(seen) != 1 || p.Flows() != 1 {
		t.Errorf("the host saw %v, %d flows", seen, p.Flows())
	}
}

// Only whom the container has sent to may answer; another port of the same host may.
func TestStrangersAreNotHeard(t *testing.T) {
	l, _ := start(t, 1500)
	client := outlab.Packets(t, l.Container, "10.90.0.2:0")
	server, other, stranger := outlab.Packets(t, nil, "192.0.2.10:0"), outlab.Packets(t, nil, "192.0.2.10:0"), outlab.Packets(t, nil, "192.0.2.11:0")
	client.WriteToUDP([]byte("x"), server.LocalAddr().(*net.UDPAddr))
	_, from, err := server.ReadFromUDPAddrPort(make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	stranger.WriteToUDPAddrPort([]byte("stranger"), netip.AddrPortFrom(netip.MustParseAddr("192.0.2.10"), from.Port()))
	other.WriteToUDPAddrPort([]byte("other port"), from)
	buf := make([]byte, 100)
	n, who, err := client.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "other port" || who.Port() != other.LocalAddr().(*net.UDPAddr).AddrPort().Port() {
		t.Errorf("got %q from %v: %v", buf[:n], who, err)
	}
}

// A program in a container sees the error that it would see on the host.
func TestErrors(t *testing.T) {
	l, _ := start(t, 65520)
	for _, c := range []struct {
		to   string
		want error
	}{
		{"192.0.2.1:9", unix.ECONNREFUSED}, // the world's
		{"[2001:db8::1]:9", unix.ECONNREFUSED},
		{"192.0.2.10:9", unix.ECONNREFUSED}, // the host's
		{"169.254.1.2:9", unix.ECONNREFUSED},
		{"192.0.2.99:9", unix.EHOSTUNREACH}, // nobody's: no answer to ARP
		{"[2001:db8::99]:9", unix.EHOSTUNREACH},
	} {
		t.Run(c.to, func(t *testing.T) {
			t.Parallel()
			conn := outlab.Dial(t, l.Container, "udp", c.to)
			hearErrors(t, conn) // a kernel keeps unreachable hosts from who has not asked
			if err := refusal(conn); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.to, err, c.want)
			}
		})
	}
}

// refusal sends until an error comes: kernels bound how many they send (icmp_ratelimit).
func refusal(c net.Conn) error {
	err := os.ErrDeadlineExceeded
	for end := time.Now().Add(outlab.Patience); errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end); {
		c.Write([]byte("x"))
		c.SetReadDeadline(time.Now().Add(4 * time.Second)) // ARP gives up after 3 s
		_, err = c.Read(make([]byte, 1))
	}
	return err
}

func hearErrors(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1)
		unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	})
}

// What a container may not reach is refused at once, and what is no single host's is too.
func TestProhibited(t *testing.T) {
	l, _ := start(t, 1500)
	l.Directory.Remove("lab-container")
	c := outlab.Dial(t, l.Container, "udp", "192.0.2.1:9")
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Error(err)
	}
}

// The MTU of the way is learnt by who must not have its datagrams fragmented.
func TestPathMTU(t *testing.T) {
	l, _ := start(t, 65520)
	for _, to := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		server := outlab.Packets(t, netlab.World(), to)
		c := outlab.Dial(t, l.Container, "udp", to)
		discover(t, c)
		var err error
		for end := time.Now().Add(outlab.Patience); err == nil && time.Now().Before(end); {
			_, err = c.Write(make([]byte, 3000)) // lost; one of the next calls tells it
			time.Sleep(time.Millisecond)
		}
		if !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: %v", to, err)
		}
		for err = unix.EMSGSIZE; errors.Is(err, unix.EMSGSIZE); { // there may be more errors that wait
			_, err = c.Write(make([]byte, 1400))
		}
		if n, _, err := server.ReadFrom(make([]byte, 4000)); n != 1400 || err != nil {
			t.Errorf("%s: %d octets came: %v", to, n, err)
		}
	}
}

func discover(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
	})
}

// Bundles go through in both directions (UDP_SEGMENT), and ECN with them.
func TestBundles(t *testing.T) {
	for _, mtu := range []int{65520, 1500} {
		l, _ := start(t, mtu)
		for _, addr := range []string{"192.0.2.10:0", "[2001:db8::10]:0"} {
			server := outlab.Packets(t, nil, addr)
			c := outlab.Dial(t, l.Container, "udp", server.LocalAddr().String())
			bundle(t, c.(*net.UDPConn), netip.AddrPort{}, 10, 1200)
			var from netip.AddrPort
			receive := func(c *net.UDPConn) {
				t.Helper()
				buf := make([]byte, 65536)
				for i := range 10 {
					n, who, err := c.ReadFromUDPAddrPort(buf)
					if err != nil || n != 1200 || buf[0] != byte(i) || buf[n-1] != byte(i) {
						t.Fatalf("MTU %d, %s: datagram %d: %d octets, %v", mtu, addr, i, n, err)
					}
					from = who
				}
			}
			receive(server)
			bundle(t, server, from, 10, 1200)
			receive(c.(*net.UDPConn))
		}
	}
}

// bundle sends n datagrams of a size by one call.
func bundle(t *testing.T, c *net.UDPConn, to netip.AddrPort, n, size int) {
	t.Helper()
	var data []byte
	for i := range n {
		data = append(data, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	control := make([]byte, unix.CmsgSpace(2))
	control[0] = byte(unix.CmsgLen(2))
	binary.NativeEndian.PutUint32(control[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(control[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(control[16:], uint16(size))
	if _, _, err := c.WriteMsgUDPAddrPort(data, control, to); err != nil {
		t.Fatal(err)
	}
}

// The routers on the way show themselves to who counts hops.
func TestHopLimit(t *testing.T) {
	l, _ := start(t, 1500)
	outlab.Do(t, netlab.World(), func() error {
		for _, sysctl := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+sysctl, []byte("1"), 0); err != nil {
				return err
			}
		}
		for dst, gateway := range map[string]string{"203.0.113.0/24": "192.0.2.10", "2001:db8:2::/64": "2001:db8::10"} {
			_, network, err := net.ParseCIDR(dst)
			if err != nil {
				return err
			}
			if err := netlink.RouteReplace(&netlink.Route{Dst: network, Gw: net.ParseIP(gateway)}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, to := range []struct{ addr, router string }{{"203.0.113.1:33434", "192.0.2.1"}, {"[2001:db8:2::1]:33434", "2001:db8::1"}} {
		c := outlab.Dial(t, l.Container, "udp", to.addr).(*net.UDPConn)
		hearErrors(t, c)
		raw, _ := c.SyscallConn()
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TTL, 2)
			unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, 2)
		})
		if err := refusal(c); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("%s: %v", to.addr, err)
		}
		control := make([]byte, 512)
		var n int
		raw.Control(func(fd uintptr) {
			_, n, _, _, _ = unix.Recvmsg(int(fd), make([]byte, 512), control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		})
		router := netip.MustParseAddr(to.router).AsSlice()
		if len(router) == 16 {
			router = router[:15] // it has two addresses in this network
		}
		if !bytes.Contains(control[:n], router) {
			t.Errorf("%s: %s is not in % x", to.addr, to.router, control[:n])
		}
	}
}

// A new helper carries on where the old one was killed: same sockets in the container.
func TestRestart(t *testing.T) {
	l, p := start(t, 1500)
	server := outlab.Packets(t, nil, "192.0.2.10:0")
	echo(server)
	c := outlab.Dial(t, l.Container, "udp", server.LocalAddr().String())
	roundTrip(t, c, []byte("before"))
	p.Close()
	l.Device.Close()
	restart(t, l, 1500)
	roundTrip(t, c, []byte("after"))
}
