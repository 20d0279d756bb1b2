package tun

import (
	"hash/maphash"
	"net/netip"

	"github.com/skiff-containers/skiff/netns/helper/pages"
	"golang.org/x/sys/unix"
)

const (
	// delayedSize is what datagrams may take that wait for their handler, and leastDelayed
	// what each takes at least, which bounds how many they are.
	delayedSize  = 2 << 20
	leastDelayed = 256
	// readAhead is how many packets are read for each time that datagrams are handled,
	// and dropAhead how many dropped ones count as one: while somebody floods, the
	// device's queue is read the faster.
	readAhead = 64
	dropAhead = 4
	// maxTogether and togetherSize bound what is handled together: the segments of
	// UDP_SEGMENT (UDP_MAX_SEGMENTS of linux/udp.h was 64 once), and an IP packet's octets.
	maxTogether  = 64
	togetherSize = 65000
	// lookAhead is how far behind the oldest datagram others of its flow are looked for.
	lookAhead = 256
	// manySenders is how many of them are remembered though nothing of theirs waits.
	manySenders = 64
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
	senders map[netip.Addr]*sender
	seed    maphash.Seed
	taken   [][]byte // by the last take
}

// sender is who has sent, or has lately sent, what waits.
type sender struct {
	src  netip.Addr
	held int // of the ring
}

// waiting is one datagram. There may be thousands of them.
type waiting struct {
	flow     uint64 // the same for those that can be handled together; 0: none can
	from     *sender
	start    uint32 // in the ring
	length   uint32
	takes    uint32 // of the ring, with what was left over at its end
	finished bool   // it was taken before its turn
}

// alike is what datagrams have in common that can be handled together.
type alike struct {
	src, dst     netip.Addr
	ports        [4]byte
	ttl, tos     uint8
	dontFragment bool
}

// alike is the zero value for a packet that is handled alone.
func (p *Packet) alike() alike {
	const header = 8 // RFC 768
	if p.Proto != unix.IPPROTO_UDP || p.Fragment || p.Offload.GSO != GSONone || len(p.Payload) <= header {
		return alike{}
	}
	return alike{p.Src, p.Dst, [4]byte(p.Payload), p.TTL, p.TOS, p.DontFragment}
}

func (b *delayed) empty() bool { return b.first == len(b.waiting) }

func (b *delayed) begin() {
	b.ring, b.senders, b.seed = pages.Make(delayedSize), map[netip.Addr]*sender{}, maphash.MakeSeed()
}

// add copies a packet, which p was read from, unless its sender has three times as much waiting
// as is still free: one alone gets three quarters of all, two three sevenths each. False:
// it is dropped.
func (b *delayed) add(p *Packet, packet []byte) bool {
	if b.ring == nil {
		b.begin()
	}
	if b.empty() {
		b.at, b.used, b.first, b.waiting = 0, 0, 0, b.waiting[:0]
	}
	room := max(len(packet), leastDelayed)
	takes, start := room, b.at
	if rest := len(b.ring) - b.at; rest < room {
		takes, start = takes+rest, 0
	}
	from := b.senders[p.Src]
	if from == nil {
		from = &sender{src: p.Src}
		b.senders[p.Src] = from
	}
	if from.held+takes > 3*(len(b.ring)-b.used-takes) {
		return false
	}
	w := waiting{from: from, start: uint32(start), length: uint32(len(packet)), takes: uint32(takes)}
	if kind := p.alike(); kind != (alike{}) {
		w.flow = max(1, maphash.Comparable(b.seed, kind))
	}
	copy(b.ring[start:], packet)
	b.at = start + room
	b.used += takes
	from.held += takes
	b.waiting = append(b.waiting, w)
	return true
}

// take returns the oldest one, and with it what waits of its flow and is as long, but for
// a shorter one at the end. They are valid until the next add.
func (b *delayed) take() [][]byte {
	oldest := b.waiting[b.first]
	b.taken = append(b.taken[:0], b.bytes(oldest))
	b.waiting[b.first].finished = true
	if size := int(oldest.length); oldest.flow != 0 {
		ahead := b.waiting[b.first+1:]
		for i := range ahead[:min(len(ahead), lookAhead)] {
			w := &ahead[i]
			if w.flow != oldest.flow || w.finished {
				continue
			}
			if size += int(w.length); w.length > oldest.length || size > togetherSize {
				break
			}
			w.finished = true
			b.taken = append(b.taken, b.bytes(*w))
			if w.length < oldest.length || len(b.taken) == maxTogether {
				break
			}
		}
	}
	b.release()
	return b.taken
}

func (b *delayed) bytes(w waiting) []byte {
	return b.ring[w.start:][:w.length:w.length]
}

// release gives back the room of the oldest ones that were taken.
func (b *delayed) release() {
	for !b.empty() && b.waiting[b.first].finished {
		w := b.waiting[b.first]
		b.waiting[b.first] = waiting{}
		b.first++
		b.used -= int(w.takes)
		if w.from.held -= int(w.takes); w.from.held == 0 && len(b.senders) > manySenders {
			delete(b.senders, w.from.src)
		}
	}
	if b.first >= 1024 && b.first*2 >= len(b.waiting) {
		b.waiting = append(b.waiting[:0], b.waiting[b.first:]...)
		b.first = 0
	}
}
