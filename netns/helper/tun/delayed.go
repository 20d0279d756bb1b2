package tun

import "net/netip"

const (
	// delayedSize is what datagrams may take that wait for their handler.
	delayedSize = 2 << 20
	// readAhead is how many packets are read for one datagram that is handled.
	readAhead = 64
)

// delayed are datagrams that wait until nothing is left to be read. Who floods the device
// with them has his own dropped here, where that costs least; in the kernel's queue, which
// is one for all, it would be what others send.
type delayed struct {
	ring    []byte // made when it is needed
	at      int    // where the next one goes
	used    int
	waiting []waiting // oldest first
	first   int       // of waiting
	held    map[netip.Addr]int
}

type waiting struct {
	src    netip.Addr
	packet []byte
	takes  int // of the ring, with what was left over at its end
}

func (b *delayed) empty() bool { return b.first == len(b.waiting) }

// add copies a packet, unless its sender has as much waiting as is still free: one
// alone gets a half of all, two a third each.
func (b *delayed) add(src netip.Addr, packet []byte) {
	if b.ring == nil {
		b.ring, b.held = make([]byte, delayedSize), map[netip.Addr]int{}
	}
	if b.empty() {
		b.at, b.used, b.first, b.waiting = 0, 0, 0, b.waiting[:0]
	}
	takes := len(packet)
	rest := len(b.ring) - b.at
	if rest < takes {
		takes += rest
	} else {
		rest = 0
	}
	if b.held[src]+takes > len(b.ring)-b.used-takes {
		return
	}
	start := (b.at + rest) % len(b.ring)
	kept := b.ring[start : start+len(packet)]
	copy(kept, packet)
	b.at = start + len(packet)
	b.used += takes
	b.held[src] += takes
	b.waiting = append(b.waiting, waiting{src, kept, takes})
}

// take returns the oldest one, which is valid until the next add.
func (b *delayed) take() []byte {
	w := b.waiting[b.first]
	b.waiting[b.first] = waiting{}
	b.first++
	b.used -= w.takes
	if b.held[w.src] -= w.takes; b.held[w.src] == 0 {
		delete(b.held, w.src)
	}
	if b.first >= 1024 && b.first*2 >= len(b.waiting) {
		b.waiting = append(b.waiting[:0], b.waiting[b.first:]...)
		b.first = 0
	}
	return w.packet
}
