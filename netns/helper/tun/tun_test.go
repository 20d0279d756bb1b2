package tun

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
	"github.com/skiff-containers/skiff/netns/helper/space"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// lab is a container behind a device, whose packets come out of the channel.
func lab(t *testing.T) (router, container *space.Space, d *Device, packets chan Packet) {
	t.Helper()
	router = netlab.Space(t)
	container = netlab.Container(t, router, "veth", []string{"10.90.0.2/24", "fd00:a::2/64"}, []string{"10.90.0.1/24", "fd00:a::1/64"})
	d, err := Open(router, MaxMTU)
	if err != nil {
		t.Fatal(err)
	}
	packets = make(chan Packet, 1000)
	keep := func(p *Packet) {
		if p.Src.IsUnspecified() {
			return // N's kernel tells of the multicast groups that it is in
		}
		c, err := Parse(bytes.Clone(p.Bytes))
		if err != nil {
			t.Error(err)
		}
		c.Offload = p.Offload
		packets <- c
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(Handlers{TCP: keep, UDP: keep, ICMP: keep}) }()
	t.Cleanup(func() {
		d.Close()
		if err := <-served; err != nil {
			t.Error("serving:", err)
		}
	})
	return router, container, d, packets
}

func dial(t *testing.T, s *space.Space, network, address string) net.Conn {
	t.Helper()
	var c net.Conn
	if err := s.Do(func() (err error) { c, err = net.Dial(network, address); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// next is the first packet for a port of the world's: of what was sent to another one before, the
// kernel may repeat some.
func next(t *testing.T, packets <-chan Packet, port uint16) Packet {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case p := <-packets:
			if len(p.Payload) >= 4 && binary.BigEndian.Uint16(p.Payload[2:]) == port {
				return p
			}
		case <-late:
			t.Fatalf("no packet for port %d", port)
		}
	}
}

var families46 = []struct{ world, container string }{
	{"198.51.100.7", "10.90.0.2"},
	{"2001:db8:1::7", "fd00:a::2"},
}

// A datagram comes out of the device, and an answer goes back in.
func TestDatagrams(t *testing.T) {
	_, container, d, packets := lab(t)
	for _, f := range families46 {
		c := dial(t, container, "udp", net.JoinHostPort(f.world, "7"))
		for _, size := range []int{0, 1, 1472, 60000} {
			sent := bytes.Repeat([]byte{byte(size)}, size)
			if _, err := c.Write(sent); err != nil {
				t.Fatal(err)
			}
			p := <-packets
			if p.Src.String() != f.container || p.Dst.String() != f.world || p.Proto != unix.IPPROTO_UDP || p.Fragment || p.TTL != 63 {
				t.Fatalf("%+v", p)
			}
			if !bytes.Equal(p.Payload[8:], sent) {
				t.Fatalf("%d octets came as %d others", size, len(p.Payload)-8)
			}
			ip := p.Answer(unix.IPPROTO_UDP)
			udp := make([]byte, 8)
			copy(udp[0:], p.Payload[2:4])
			copy(udp[2:], p.Payload[0:2])
			binary.BigEndian.PutUint16(udp[4:], uint16(8+size))
			sum := PartialChecksum(ip.Pseudo(8 + size))
			offload := Offload{NeedsChecksum: true, ChecksumStart: uint16(len(p.Header)), ChecksumOffset: 6}
			if size == 1472 { // once with the whole checksum
				sum = Checksum(append(bytes.Clone(udp), sent...), ip.Pseudo(8+size))
				offload = Offload{}
			}
			binary.BigEndian.PutUint16(udp[6:], sum)
			if err := d.WriteParts(offload, append(ip.Append(nil, 8+size), udp...), sent); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 65536)
			n, err := c.Read(got)
			if err != nil || !bytes.Equal(got[:n], sent) {
				t.Fatalf("%s: the answer of %d octets came back as %d: %v", f.world, size, n, err)
			}
		}
	}
}

// What an answer says is what the program in the container sees.
func TestErrors(t *testing.T) {
	_, container, d, packets := lab(t)
	port := uint16(7)
	for _, f := range families46 {
		for reason, want := range map[Reason]error{
			NetUnreachable:  unix.ENETUNREACH,
			HostUnreachable: unix.EHOSTUNREACH,
			PortUnreachable: unix.ECONNREFUSED,
			Prohibited:      unix.EHOSTUNREACH,
		} {
			if f.world == "2001:db8:1::7" && reason == Prohibited {
				want = unix.EACCES
			}
			port++
			result := make(chan error, 1)
			go func() {
				result <- container.Do(func() error {
					_, err := net.DialTimeout("tcp", net.JoinHostPort(f.world, fmt.Sprint(port)), time.Minute)
					return err
				})
			}()
			p := next(t, packets, port)
			if err := d.Write(AppendError(nil, &p, reason, netip.Addr{}, 0)); err != nil {
				t.Fatal(err)
			}
			if err := <-result; !errors.Is(err, want) {
				t.Errorf("%s, reason %d: %v, want %v", f.world, reason, err, want)
			}
		}
	}
}

// A reset refuses, and a path's MTU is learnt.
func TestResetAndTooBig(t *testing.T) {
	_, container, d, packets := lab(t)
	for _, f := range families46 {
		result := make(chan error, 1)
		go func() {
			result <- container.Do(func() error {
				_, err := net.DialTimeout("tcp", net.JoinHostPort(f.world, "7"), time.Minute)
				return err
			})
		}()
		p := next(t, packets, 7)
		tcp, ok := ParseTCP(p.Payload)
		if !ok || tcp.Flags != SYN || tcp.DstPort != 7 {
			t.Fatalf("%+v", tcp)
		}
		if err := d.Write(AppendReset(nil, &p, tcp)); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: %v", f.world, err)
		}

		c := dial(t, container, "udp", net.JoinHostPort(f.world, "8"))
		if err := errors.Join(discover(c, f.world)); err != nil {
			t.Fatal(err)
		}
		c.Write(make([]byte, 3000))
		p = next(t, packets, 8)
		if err := d.Write(AppendError(nil, &p, TooBig, netip.Addr{}, 1400)); err != nil {
			t.Fatal(err)
		}
		// A busy kernel hands on later, on a thread of its own, what was written to it.
		var err error
		for end := time.Now().Add(time.Minute); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
			_, err = c.Write(make([]byte, 3000))
		}
		if !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: after packet too big: %v", f.world, err)
		}
	}
}

// discover has a socket send unfragmented datagrams only.
func discover(c net.Conn, world string) error {
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	raw.Control(func(fd uintptr) {
		if netip.MustParseAddr(world).Is4() {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
		}
	})
	return err
}

// N's connections to containers are not paced, whatever the host does with its own.
func TestCongestionControl(t *testing.T) {
	router := netlab.Space(t)
	d, err := Open(router, MaxMTU)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		var name string
		err := router.Do(func() error {
			fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			name, err = unix.GetsockoptString(fd, unix.SOL_TCP, unix.TCP_CONGESTION)
			return err
		})
		if err != nil || name != "reno" {
			t.Errorf("family %d: %q, %v", family, name, err)
		}
	}
}

// Opening again, after a helper's death, finds everything and repeats nothing.
func TestOpenAgain(t *testing.T) {
	router := netlab.Space(t)
	var first []string
	for round := range 3 {
		d, err := Open(router, 1500+round)
		if err != nil {
			t.Fatal(err)
		}
		state := describe(t, router, 1500+round)
		if round == 0 {
			first = state
		}
		if len(state) != len(first) {
			t.Errorf("round %d: %q, at first %q", round, state, first)
		}
		served := make(chan error, 1)
		go func() { served <- d.Serve(Handlers{}) }()
		d.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := d.Write(make([]byte, 20)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("writing after Close: %v", err)
		}
	}
}

// A device that is in use is waited for.
func TestOpenBusy(t *testing.T) {
	router := netlab.Space(t)
	old, err := Open(router, 1500)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { old.Close() })
	d, err := Open(router, 1500)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func describe(t *testing.T, s *space.Space, mtu int) []string {
	t.Helper()
	var all []string
	err := s.Do(func() error {
		link, err := netlink.LinkByName(Name)
		if err != nil {
			return err
		}
		if link.Attrs().MTU != mtu || link.Attrs().Flags&net.FlagUp == 0 {
			t.Errorf("the device is %+v", link.Attrs())
		}
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			rules, err := netlink.RuleList(family)
			if err != nil {
				return err
			}
			for _, r := range rules {
				all = append(all, r.String())
			}
			for _, table := range []int{table, unix.RT_TABLE_MAIN} {
				routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
				if err != nil {
					return err
				}
				for _, r := range routes {
					all = append(all, r.String())
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
