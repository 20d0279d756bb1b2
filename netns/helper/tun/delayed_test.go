package tun

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	bad, good = netip.MustParseAddr("10.90.0.2"), netip.MustParseAddr("10.90.0.3")
	world     = netip.MustParseAddr("192.0.2.1")
)

// datagram is one as it comes from the device: behind its ports stand a number, and
// octets that tell it again.
func datagram(src netip.Addr, port uint16, number uint32, size int) (*Packet, []byte) {
	ip := IP{Src: src, Dst: world, Proto: unix.IPPROTO_UDP}
	b := ip.Append(make([]byte, offloadLen), 8+size)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, 9)
	b = binary.BigEndian.AppendUint16(b, uint16(8+size))
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint32(b, number)
	b = append(b, bytes.Repeat([]byte{byte(number)}, size-4)...)
	p := new(Packet)
	if !p.decode(b) {
		panic("a test's datagram is none")
	}
	return p, b
}

// read takes apart what take returned, and checks that nothing has damaged it.
func read(t *testing.T, taken [][]byte) (src netip.Addr, port uint16, numbers []uint32) {
	t.Helper()
	for i, b := range taken {
		var p Packet
		if !p.decode(b) {
			t.Fatalf("packet %d of %d is none", i, len(taken))
		}
		n := binary.BigEndian.Uint32(p.Payload[8:])
		if len(bytes.Trim(p.Payload[12:], string([]byte{byte(n)}))) != 0 {
			t.Fatalf("packet %d is damaged", n)
		}
		if from := binary.BigEndian.Uint16(p.Payload); i > 0 && (p.Src != src || from != port) {
			t.Fatalf("%s:%d is taken together with %s:%d", src, port, p.Src, from)
		}
		src, port = p.Src, binary.BigEndian.Uint16(p.Payload)
		numbers = append(numbers, n)
	}
	return src, port, numbers
}

// Who sends without end leaves room for others; what waits comes out whole and in order.
func TestDelayed(t *testing.T) {
	var b delayed
	random := rand.New(rand.NewPCG(1, 2))
	sent, got, accepted := map[netip.Addr]uint32{}, map[netip.Addr]uint32{}, map[netip.Addr]int{}
	add := func(src netip.Addr) {
		p, packet := datagram(src, 1000, sent[src], 4+random.IntN(30000))
		sent[src]++
		if b.add(p, packet) {
			accepted[src]++
		}
	}
	take := func() {
		src, _, numbers := read(t, b.take())
		for _, n := range numbers {
			if n < got[src] {
				t.Fatalf("packet %d of %s came after %d", n, src, got[src])
			}
			got[src] = n + 1
		}
	}
	for range 3000 {
		for range 5 {
			add(bad)
		}
		add(good)
		for range 3 {
			if !b.empty() {
				take()
			}
		}
		held := 0
		for _, from := range b.senders {
			held += from.held
		}
		if held != b.used || held > delayedSize {
			t.Fatalf("%d octets are held, %d used", held, b.used)
		}
	}
	if accepted[good] < 2900 {
		t.Errorf("of the modest one's 3000 packets %d were taken", accepted[good])
	}
	for !b.empty() {
		take()
	}
	for src, from := range b.senders {
		if from.held != 0 || b.used != 0 {
			t.Errorf("something is held when nothing waits: %d of %s, %d", from.held, src, b.used)
		}
	}
}

// One alone may fill three quarters, and small ones are not many more than that.
func TestDelayedAlone(t *testing.T) {
	for _, size := range []int{4, 1400, 60000} {
		var b delayed
		for n := range uint32(20000) {
			b.add(datagram(bad, 1000, n, size))
		}
		if b.used < delayedSize*3/4-size-100 || b.used > delayedSize*3/4 || len(b.waiting) > delayedSize/leastDelayed {
			t.Errorf("size %d: %d packets have %d octets", size, len(b.waiting), b.used)
		}
		if !b.add(datagram(good, 1000, 0, size)) {
			t.Errorf("size %d: there is no room for another one's", size)
		}
	}
}

// Datagrams of one flow are taken together, across those of others, as far as their
// lengths are what one system call can send.
func TestDelayedTogether(t *testing.T) {
	var b delayed
	next := uint32(0)
	add := func(port uint16, size int) {
		b.add(datagram(good, port, next, size))
		next++
	}
	for _, size := range []int{100, 100, 50, 100, 200} {
		add(1000, size)
		add(2000, 300)
	}
	for _, want := range [][]uint32{{0, 2, 4}, {1, 3, 5, 7, 9}, {6}, {8}} {
		_, _, numbers := read(t, b.take())
		if len(numbers) != len(want) || numbers[0] != want[0] || numbers[len(numbers)-1] != want[len(want)-1] {
			t.Errorf("%v came together, not %v", numbers, want)
		}
	}
	if !b.empty() || b.used != 0 {
		t.Errorf("%d octets are left", b.used)
	}
	for range 1000 {
		add(1000, 1400)
	}
	for !b.empty() {
		if taken := b.take(); len(taken) > maxTogether || len(taken)*1400 > togetherSize || len(taken) < 30 && !b.empty() {
			t.Errorf("%d came together", len(taken))
		}
	}
}
