package tun

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzParse: whatever a container sends, nothing is read beyond the packet, and what
// is answered is a sound packet again, to whoever sent it.
func FuzzParse(f *testing.F) {
	for _, src := range []string{"10.0.0.2", "fd00::2"} {
		ip := IP{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr("192.0.2.1"), Proto: unix.IPPROTO_TCP}
		if ip.Src.Is6() {
			ip.Dst = netip.MustParseAddr("2001:db8::1")
		}
		f.Add(append(ip.Append(nil, 20), 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0, 0, 0, 0, 0, 0))
		ip.Proto = unix.IPPROTO_ROUTING
		f.Add(append(ip.Append(nil, 24), 44, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 1, 1, 2, 3, 4, 58, 0, 0, 0, 0, 0, 0, 0))
		ip.Proto = unix.IPPROTO_ICMPV6
		f.Add(append(ip.Append(nil, 8), 128, 0, 0, 0, 0, 0, 0, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if len(p.Header)+len(p.Payload) != len(p.Bytes) || len(p.Bytes) > len(b) {
			t.Fatalf("%d + %d of %d octets", len(p.Header), len(p.Payload), len(p.Bytes))
		}
		for reason := NetUnreachable; reason <= Expired; reason++ {
			answered(t, &p, AppendError(nil, &p, reason, netip.Addr{}, 1400))
		}
		if tcp, ok := ParseTCP(p.Payload); ok {
			answered(t, &p, AppendReset(nil, &p, tcp))
		}
	})
}

func answered(t *testing.T, p *Packet, answer []byte) {
	t.Helper()
	if len(answer) == 0 {
		return
	}
	a, err := Parse(answer)
	if err != nil || len(a.Bytes) != len(answer) || a.Src != p.Dst || a.Dst != p.Src || len(answer) > 1280 {
		t.Fatalf("%x is answered by %x: %v", p.Bytes, answer, err)
	}
	pseudo := uint32(0)
	if a.Proto != unix.IPPROTO_ICMP {
		ip := IP{Src: a.Src, Dst: a.Dst, Proto: a.Proto}
		pseudo = ip.Pseudo(len(a.Payload))
	}
	if Checksum(a.Payload, pseudo) != 0 {
		t.Fatalf("%x has a wrong checksum", answer)
	}
}

// The sum is the one of RFC 1071, section 3, and does not depend on how it is cut.
func TestChecksum(t *testing.T) {
	if sum := Checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0); sum != 0x220d {
		t.Errorf("%#x", sum)
	}
	b := make([]byte, 301)
	for i := range b {
		b[i] = byte(i * 7)
	}
	whole := Checksum(b, 0)
	for cut := 0; cut < len(b); cut += 2 {
		if sum := Checksum(b[cut:], uint32(add(b[:cut], 0))); sum != whole {
			t.Fatalf("cut at %d: %#x, whole %#x", cut, sum, whole)
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	packet := make([]byte, 1500)
	b.SetBytes(int64(len(packet)))
	for range b.N {
		Checksum(packet, 0)
	}
}

// Looking at a packet allocates nothing.
func TestParseAllocates(t *testing.T) {
	ip := IP{Src: netip.MustParseAddr("fd00::2"), Dst: netip.MustParseAddr("2001:db8::1"), Proto: unix.IPPROTO_UDP}
	packet := append(ip.Append(nil, 8), make([]byte, 8)...)
	var p Packet
	if n := testing.AllocsPerRun(100, func() { p.parse(packet) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
