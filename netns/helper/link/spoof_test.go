package link

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A container with CAP_NET_RAW can write any frame; those that claim another's
// addresses get no further than its port.
func TestSpoofing(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	a, _ := l.container("a", 2, n)
	b, _ := l.container("b", 3, n)
	const (
		all, ownMAC, otherMAC = "ffffffffffff", "02420a140002", "02420a140003"
		own4, other4, gate4   = "0a140002", "0a140003", "0a140001"
		own6, other6, gate6   = "fd000020000000000000000000000002", "fd000020000000000000000000000003", "fd000020000000000000000000000001"
		ownLocal              = "fe800000000000000042 0afffe140002"
		allNodes              = "ff020000000000000000000000000001"
		arp                   = "0806 0001 0800 06 04 0002"
	)
	ipv4 := func(source string) string {
		return "0800 4500 001c 0000 0000 40 11 0000" + source + "ffffffff 0001 0002 0008 0000"
	}
	ipv6 := func(source, next, payload string) string {
		payload = strings.ReplaceAll(payload, " ", "")
		return fmt.Sprintf("86dd 60000000 %04x %s ff %s %s %s", len(payload)/2, next, source, allNodes, payload)
	}
	icmp4 := func(source, head, target string) string {
		quoted := "4500 001c 0000 0000 40 11 0000 0a140001" + target + "0035 0035 0008 0000"
		return "0800 4500 0038 0000 0000 40 01 0000" + source + "ffffffff" + head + quoted
	}
	const quoted6 = "60000000 0008 11 40 fd000020000000000000000000000001"
	advert := func(target string) string { return "88 00 0000 20000000" + target + "0201" + ownMAC }
	for _, c := range []struct {
		name, frame string
		arrives     bool
	}{
		{"own IPv4", ownMAC + ipv4(own4), true},
		{"own ARP", ownMAC + arp + ownMAC + own4 + all + own4, true},
		{"own IPv6", ownMAC + ipv6(own6, "3b", ""), true},
		{"own link-local", ownMAC + ipv6(ownLocal, "3b", ""), true},
		{"own advertisement", ownMAC + ipv6(own6, "3a", advert(own6)), true},
		{"another's IPv4", ownMAC + ipv4(other4), false},
		{"the gateway's IPv4", ownMAC + ipv4(gate4), false},
		{"the world's IPv4", ownMAC + ipv4("c0000201"), false},
		{"another's MAC", otherMAC + ipv4(own4), false},
		{"another's both", otherMAC + ipv4(other4), false},
		{"ARP of another's MAC", ownMAC + arp + otherMAC + own4 + all + own4, false},
		{"another's ARP", ownMAC + arp + ownMAC + other4 + all + other4, false},
		{"the gateway's ARP", ownMAC + arp + ownMAC + gate4 + all + own4, false},
		{"ARP of other sizes", ownMAC + "0806 0001 0800 08 04 0002 0000" + ownMAC + gate4 + all + own4, false},
		{"ARP cut off", ownMAC + "0806 0001 0800 06", false},
		{"another's IPv6", ownMAC + ipv6(other6, "3b", ""), false},
		{"the gateway's IPv6", ownMAC + ipv6(gate6, "3b", ""), false},
		{"advertisement of another's", ownMAC + ipv6(own6, "3a", advert(other6)), false},
		{"advertisement of the gateway's", ownMAC + ipv6(ownLocal, "3a", advert(gate6)), false},
		{"the same behind an extension header", ownMAC + ipv6(own6, "00", "3a00 0104 00000000"+advert(gate6)), false},
		{"advertisement cut off", ownMAC + ipv6(own6, "3a", "88 00 0000 20000000"), false},
		{"router advertisement", ownMAC + ipv6(ownLocal, "3a", "86 00 0000 40 00 0708 00000000 00000000"), false},
		{"redirect", ownMAC + ipv6(ownLocal, "3a", "89 00 0000 00000000"+ownLocal+gate6), false},
		{"IPv4 to a loopback address", ownMAC + "0800 4500 001c 0000 0000 40 11 0000" + own4 + "7f000001 0001 0002 0008 0000", false},
		{"IPv4 unreachable about its own", ownMAC + icmp4(own4, "0303 0000 00000000", own4), true},
		{"IPv4 unreachable about another's", ownMAC + icmp4(own4, "0303 0000 00000000", other4), false},
		{"IPv4 too big about another's", ownMAC + icmp4(own4, "0304 0000 00000228", "c0000201"), false},
		{"IPv4 unreachable cut off", ownMAC + "0800 4500 001c 0000 0000 40 01 0000" + own4 + "ffffffff 0303 0000 00000000", false},
		{"IPv4 redirect", ownMAC + icmp4(own4, "0501 0000"+own4, other4), false},
		{"IPv4 echo", ownMAC + icmp4(own4, "0800 0000 00010001", other4), true},
		{"IPv6 too big about its own", ownMAC + ipv6(own6, "3a", "02 00 0000 00000500"+quoted6+own6), true},
		{"IPv6 too big about another's", ownMAC + ipv6(own6, "3a", "02 00 0000 00000500"+quoted6+other6), false},
		{"the same behind an extension header", ownMAC + ipv6(own6, "3c", "3a00 0104 00000000 02 00 0000 00000500"+quoted6+other6), false},
		{"IPv6 unreachable about the world's", ownMAC + ipv6(ownLocal, "3a", "01 04 0000 00000000"+quoted6+"20010db8000000000000000000000001"), false},
		{"VLAN's tag", ownMAC + "8100 0001" + ipv4(own4), false},
		{"VLAN's tag of priority", ownMAC + "8100 2000" + ipv4(other4), false},
		{"IPv4 cut off", ownMAC + "0800 45", false},
		{"another protocol", ownMAC + "88b5 00000000", false},
		{"LLC", ownMAC + "0026 424203 0000", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame := unhex(t, all+c.frame)
			sender, receiver := l.packets(a), l.packets(b)
			l.must(unix.Send(sender, frame, 0))
			mark := unhex(t, all+ownMAC+ipv4(own4)) // arrives, after the other
			binary.BigEndian.PutUint16(mark[18:], 0x1234)
			l.must(unix.Send(sender, mark, 0))
			if got := l.sees(receiver, frame, mark); got != c.arrives {
				t.Errorf("arrived: %v, want %v", got, c.arrives)
			}
		})
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packets is a socket for whole frames of eth0.
func (l *lab) packets(s *space.Space) (fd int) {
	l.t.Helper()
	const every = 0x0300 // ETH_P_ALL in the network's order
	l.must(s.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, every); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: eth0.Index})
	}))
	l.t.Cleanup(func() { unix.Close(fd) })
	l.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience / time.Second)}))
	return fd
}

// sees tells whether a frame comes before another.
func (l *lab) sees(fd int, frame, before []byte) bool {
	l.t.Helper()
	b := make([]byte, 2048)
	seen := false
	for {
		n, err := unix.Read(fd, b)
		if err == unix.EINTR {
			continue
		}
		l.must(err)
		// A VLAN's tag is not in what the socket gives.
		seen = seen || bytes.Equal(b[:n], frame) || len(frame) > 18 && frame[12] == 0x81 && bytes.Equal(b[12:n], frame[16:])
		if bytes.Equal(b[:n], before) {
			return seen
		}
	}
}

// Frames of the spanning tree do not teach the bridge whose MAC address is where.
func TestBridgeLearnsFromNoStray(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	a, am := l.container("a", 2, n)
	_, m := l.container("b", 3, n)
	sender := l.packets(a)
	l.must(unix.Send(sender, unhex(t, "0180c2000000 02420a140003 0026 424203 0000000000"), 0))
	l.must(unix.Send(sender, unhex(t, "ffffffffffff 02420a140002 0806 0001 0800 06 04 0001 02420a140002 0a140002 000000000000 0a140001"), 0))
	attacker, victim := Port(&am.Attachment.Endpoints[0]), m.Attachment.Endpoints[0]
	learnt := l.learnt()
	// A busy kernel hands frames on later, on a thread of its own, but one after the other.
	for end := time.Now().Add(patience); !learnt["02:42:0a:14:00:02 "+attacker] && time.Now().Before(end); time.Sleep(time.Millisecond) {
		learnt = l.learnt()
	}
	if !learnt["02:42:0a:14:00:02 "+attacker] || learnt[victim.MAC+" "+attacker] {
		t.Errorf("learnt: %v", learnt)
	}
}

// learnt is where the bridges know MAC addresses to be: each with a port's name.
func (l *lab) learnt() map[string]bool {
	l.t.Helper()
	learnt := map[string]bool{}
	l.must(l.n.Do(func() error {
		all, err := netlink.NeighList(0, unix.AF_BRIDGE)
		if err != nil {
			return err
		}
		for _, f := range all {
			port, err := netlink.LinkByIndex(f.LinkIndex)
			if err != nil {
				return err
			}
			learnt[f.HardwareAddr.String()+" "+port.Attrs().Name] = true
		}
		return nil
	}))
	return learnt
}

// What a container may send to the world has its own source.
func TestSpoofingTheWorld(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	a, _ := l.container("a", 2, n)
	sender, seen := l.packets(a), l.watch()
	bridge := hex.EncodeToString(bridgeMAC(n))
	for _, p := range []struct{ source, port string }{{"0a140063", "1111"}, {"0a140002", "2222"}} {
		port := netip.MustParseAddrPort("192.0.2.1:" + p.port).Port()
		head := unhex(t, "4500 001c 0000 0000 40 11 0000"+p.source+"c0000201")
		binary.BigEndian.PutUint16(head[10:], sum(head))
		frame := append(unhex(t, bridge+"02420a140002 0800"), head...)
		l.must(unix.Send(sender, append(frame, 0, 1, byte(port>>8), byte(port), 0, 8, 0, 0), 0))
	}
	if port := <-seen; port != 2222 {
		t.Errorf("a packet to port %d came out, want only that to 2222", port)
	}
}

func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	return ^uint16(s + s>>16)
}
