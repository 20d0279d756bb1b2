package tun

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Who sends without end leaves room for others; what waits comes out whole and in order.
func TestDelayed(t *testing.T) {
	var b delayed
	bad, good := netip.MustParseAddr("10.90.0.2"), netip.MustParseAddr("10.90.0.3")
	random := rand.New(rand.NewPCG(1, 2))
	sent, got, accepted := map[netip.Addr]uint32{}, map[netip.Addr]uint32{}, map[netip.Addr]int{}
	add := func(src netip.Addr) {
		packet := bytes.Repeat([]byte{byte(sent[src])}, 8+random.IntN(30000))
		copy(packet, src.AsSlice())
		binary.BigEndian.PutUint32(packet[4:], sent[src])
		sent[src]++
		before := len(b.waiting) - b.first
		b.add(src, packet)
		if len(b.waiting)-b.first > before {
			accepted[src]++
		}
	}
	take := func() {
		packet := b.take()
		src := netip.AddrFrom4([4]byte(packet))
		n := binary.BigEndian.Uint32(packet[4:])
		if n < got[src] || len(bytes.Trim(packet[8:], string([]byte{byte(n)}))) != 0 {
			t.Fatalf("packet %d of %s came after %d, or damaged", n, src, got[src])
		}
		got[src] = n + 1
	}
	for range 3000 {
		for range 5 {
			add(bad)
		}
		add(good)
		for range 3 {
			take()
		}
		if held := b.held[bad] + b.held[good]; held != b.used || held > delayedSize {
			t.Fatalf("%d octets are held, %d used", held, b.used)
		}
	}
	if accepted[good] < 2900 {
		t.Errorf("of the modest one's 3000 packets %d were taken", accepted[good])
	}
	for !b.empty() {
		take()
	}
	if len(b.held) != 0 || b.used != 0 {
		t.Errorf("something is held when nothing waits: %v, %d", b.held, b.used)
	}
}
