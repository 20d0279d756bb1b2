package fragment

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

var (
	a4, b4 = netip.MustParseAddr("10.90.0.2"), netip.MustParseAddr("198.51.100.1")
	a6, b6 = netip.MustParseAddr("fd00:a::2"), netip.MustParseAddr("2001:db8:1::1")
)

// cut makes the fragments of a datagram from a to b.
func cut(t testing.TB, a, b netip.Addr, id uint32, payload []byte, mtu int) []tun.Packet {
	t.Helper()
	var all []tun.Packet
	keep := func(raw []byte) {
		p, err := tun.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	ip := tun.IP{Src: a, Dst: b, Proto: unix.IPPROTO_UDP, TTL: 63, TOS: 2, ID: uint16(id)}
	if a.Is6() {
		Split(ip, id, payload, mtu, func(head, part []byte) error {
			keep(append(bytes.Clone(head), part...))
			return nil
		})
		return all
	}
	room := (mtu - 20) &^ 7
	for at := 0; at < len(payload); at += room {
		n := min(room, len(payload)-at)
		raw := append(ip.Append(nil, n), payload[at:at+n]...)
		flags := uint16(at / 8)
		if at+n < len(payload) {
			flags |= 0x2000
		}
		binary.BigEndian.PutUint16(raw[6:], flags)
		keep(raw)
	}
	return all
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// Datagrams come out as they went in, whatever the order of their parts.
func TestReassemble(t *testing.T) {
	var r Reassembler
	for _, pair := range [][2]netip.Addr{{a4, b4}, {a6, b6}} {
		for id, size := range []int{1481, 3000, 32768, 65515, 20000} {
			payload := random(size)
			parts := cut(t, pair[0], pair[1], uint32(id), payload, 1500)
			if id%2 == 1 {
				rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
				if len(parts) > 2*maxSpans {
					parts = cut(t, pair[0], pair[1], uint32(id), payload, 9000)
				}
			}
			for i := range parts {
				got := r.Add(&parts[i])
				if (got != nil) != (i == len(parts)-1) {
					t.Fatalf("%v, %d octets: part %d of %d gave %v", pair, size, i+1, len(parts), got)
				}
				if got == nil {
					continue
				}
				if !bytes.Equal(got.Payload, payload) || got.Src != pair[0] || got.Dst != pair[1] || got.Proto != unix.IPPROTO_UDP ||
					got.TTL != 63 || got.TOS != 2 || got.Fragment || got.DontFragment {
					t.Errorf("%v, %d octets: got %+v", pair, size, got)
				}
			}
		}
	}
	if len(r.partial) != 0 || len(r.order) != 0 {
		t.Errorf("%d datagrams are left", len(r.partial))
	}
}

// Two datagrams at a time, and duplicates of parts, do not mix.
func TestInterleaved(t *testing.T) {
	var r Reassembler
	first, second := random(4000), random(4000)
	x, y := cut(t, a4, b4, 1, first, 1500), cut(t, a4, b4, 2, second, 1500)
	for _, p := range []*tun.Packet{&x[0], &y[0], &y[2], &y[2], &x[2]} {
		if r.Add(p) != nil {
			t.Fatal("complete too early")
		}
	}
	if got := r.Add(&x[1]); got == nil || !bytes.Equal(got.Payload, first) {
		t.Error("the first one is not whole")
	}
	if got := r.Add(&y[1]); got == nil || !bytes.Equal(got.Payload, second) {
		t.Error("the second one is not whole")
	}
}

// Parts that overlap, that lie behind the end or that differ about it give nothing.
func TestHostile(t *testing.T) {
	for name, change := range map[string]func(parts []tun.Packet){
		"overlap":    func(parts []tun.Packet) { parts[1].FragmentOffset -= 8 },
		"beyond":     func(parts []tun.Packet) { parts[1].FragmentOffset = 65528 },
		"behind end": func(parts []tun.Packet) { parts[0], parts[2] = parts[2], parts[0]; parts[1].FragmentOffset = 60000 },
		"empty":      func(parts []tun.Packet) { parts[1].Payload = nil },
		"odd":        func(parts []tun.Packet) { parts[1].Payload = parts[1].Payload[:7] },
	} {
		var r Reassembler
		parts := cut(t, a6, b6, 1, random(4000), 1500)
		change(parts)
		for i := range parts {
			if r.Add(&parts[i]) != nil {
				t.Errorf("%s: a datagram", name)
			}
		}
	}
}

// A source that never completes anything displaces its own, is forgotten in time, and
// others go on.
func TestBounds(t *testing.T) {
	now := time.Now()
	r := Reassembler{clock: func() time.Time { return now }}
	victim := cut(t, a4, b4, 9, random(3000), 1500)
	r.Add(&victim[0])
	for id := range uint32(1000) {
		r.Add(&cut(t, a6, b6, id, random(3000), 1500)[0])
	}
	for host := range byte(40) {
		src := netip.AddrFrom4([4]byte{10, 91, 0, host})
		r.Add(&cut(t, src, b4, 1, random(3000), 1500)[0])
	}
	if len(r.order) > total || len(r.partial) != len(r.order) {
		t.Errorf("%d datagrams are held", len(r.order))
	}
	now = now.Add(patience + 1)
	r.Add(&victim[1])
	if len(r.order) != 1 || len(r.free) > spare {
		t.Errorf("%d datagrams and %d buffers are held after the patience has ended", len(r.order), len(r.free))
	}
}

func FuzzReassemble(f *testing.F) {
	for _, p := range append(cut(f, a4, b4, 1, random(3000), 1500), cut(f, a6, b6, 1, random(3000), 1500)...) {
		f.Add(p.Bytes, uint16(64), uint16(8))
	}
	f.Fuzz(func(t *testing.T, raw []byte, offset, length uint16) {
		p, err := tun.Parse(raw)
		if err != nil {
			return
		}
		var r Reassembler
		again := p
		again.FragmentOffset, again.Fragment = int(offset&^7), true
		again.Payload = again.Payload[:min(len(again.Payload), int(length))]
		for _, part := range []*tun.Packet{&p, &again, &p} {
			if got := r.Add(part); got != nil && got != part && len(got.Payload) > 65535 {
				t.Error("a datagram that cannot be")
			}
		}
		if len(r.order) > 2 {
			t.Error(len(r.order))
		}
	})
}
