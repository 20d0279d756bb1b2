// Package fragment puts datagrams together that come in fragments (RFC 791, section
// 3.2; RFC 8200, section 4.5): a container's whose network has a small MTU. N's kernel,
// where its firewall reassembles, cuts them up again before they reach the device.
package fragment

import (
	"net/netip"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

const (
	// perSource and total are how many datagrams may be incomplete at a time, of 64 KB
	// each. The fragments of one follow each other closely: a container's kernel sends
	// them in one go.
	perSource = 8
	total     = 32
	// patience is how long the rest is waited for. RFC 8200 says 60 s, for the internet.
	patience = 2 * time.Second
	// maxSpans is how many stretches of a datagram may be there with gaps between them.
	maxSpans = 16

	headroom = 40 // for an IP header without options
	spare    = 4  // buffers that are kept for the next datagrams
)

// Reassembler holds incomplete datagrams. It is for one goroutine; the zero value is ready.
type Reassembler struct {
	partial map[key]*partial
	order   []*partial // oldest first
	free    [][]byte
	out     []byte // the buffer of the packet that was returned last
	packet  tun.Packet
	clock   func() time.Time
}

type key struct {
	src, dst netip.Addr
	proto    uint8 // 0 for IPv6, where only the first fragment says it for certain
	id       uint32
}

type partial struct {
	key   key
	born  time.Time
	buf   []byte // headroom, then the payload
	spans []span // sorted, neither overlapping nor touching
	size  int    // of the payload; -1: the last fragment is not there yet
	first tun.IP // as the fragment with offset 0 says
}

type span struct{ from, to int }

// Add takes a fragment, and returns the datagram that it completes, or nil. A packet
// that is no fragment is returned as it is. The result is valid until the next call. A
// datagram whose fragments overlap is given up as a whole (RFC 5722).
func (r *Reassembler) Add(p *tun.Packet) *tun.Packet {
	if !p.Fragment {
		return p
	}
	r.reuse()
	r.expire()
	from, to := p.FragmentOffset, p.FragmentOffset+len(p.Payload)
	limit := 65535
	if !p.Is6() {
		limit -= 20
	}
	if len(p.Payload) == 0 || to > limit || p.MoreFragments && len(p.Payload)%8 != 0 {
		return nil
	}
	d := r.find(p)
	if !d.add(span{from, to}, p) {
		r.discard(d)
		return nil
	}
	if d.size < 0 || len(d.spans) != 1 || d.spans[0] != (span{0, d.size}) {
		return nil
	}
	r.remove(d)
	return r.complete(d)
}

func (r *Reassembler) find(p *tun.Packet) *partial {
	k := key{src: p.Src, dst: p.Dst, id: p.FragmentID}
	if !p.Is6() {
		k.proto = p.Proto
	}
	if d := r.partial[k]; d != nil {
		return d
	}
	r.makeRoom(p.Src)
	d := &partial{key: k, born: r.now(), size: -1}
	if n := len(r.free); n > 0 {
		d.buf, r.free = r.free[n-1], r.free[:n-1]
	} else {
		d.buf = make([]byte, headroom+65536)
	}
	if r.partial == nil {
		r.partial = map[key]*partial{}
	}
	r.partial[k] = d
	r.order = append(r.order, d)
	return d
}

// add enters a fragment. False: the datagram is not sound.
func (d *partial) add(s span, p *tun.Packet) bool {
	if slices.Contains(d.spans, s) {
		return true // a duplicate of one that has not been joined to others
	}
	switch {
	case !p.MoreFragments && d.size >= 0 && d.size != s.to,
		d.size >= 0 && s.to > d.size,
		!p.MoreFragments && len(d.spans) > 0 && d.spans[len(d.spans)-1].to > s.to:
		return false
	case !p.MoreFragments:
		d.size = s.to
	}
	at, _ := slices.BinarySearchFunc(d.spans, s, func(a, b span) int { return a.from - b.from })
	if at > 0 && d.spans[at-1].to > s.from || at < len(d.spans) && d.spans[at].from < s.to {
		return false
	}
	copy(d.buf[headroom+s.from:], p.Payload)
	if s.from == 0 {
		d.first = tun.IP{Src: p.Src, Dst: p.Dst, Proto: p.Proto, TTL: p.TTL, TOS: p.TOS, ID: uint16(p.FragmentID)}
	}
	d.spans = slices.Insert(d.spans, at, s)
	if at+1 < len(d.spans) && d.spans[at+1].from == s.to {
		d.spans[at].to = d.spans[at+1].to
		d.spans = slices.Delete(d.spans, at+1, at+2)
	}
	if at > 0 && d.spans[at-1].to == d.spans[at].from {
		d.spans[at-1].to = d.spans[at].to
		d.spans = slices.Delete(d.spans, at, at+1)
	}
	return len(d.spans) <= maxSpans
}

// complete makes the packet that had been cut up.
func (r *Reassembler) complete(d *partial) *tun.Packet {
	header := 20
	if d.first.Src.Is6() {
		header = 40
	}
	r.out = d.buf
	start := headroom - header
	d.first.Append(d.buf[start:start], d.size)
	var err error
	if r.packet, err = tun.Parse(d.buf[start : headroom+d.size]); err != nil {
		return nil
	}
	r.packet.DontFragment = false
	return &r.packet
}

// makeRoom gives up the oldest datagram where one more would be too many: of the
// source itself, or of who has most.
func (r *Reassembler) makeRoom(src netip.Addr) {
	if len(r.order) < perSource {
		return
	}
	count := map[netip.Addr]int{}
	for _, d := range r.order {
		count[d.key.src]++
	}
	if count[src] < perSource {
		if len(r.order) < total {
			return
		}
		for other, n := range count {
			if n > count[src] {
				src = other
			}
		}
	}
	for _, d := range r.order {
		if d.key.src == src {
			r.discard(d)
			return
		}
	}
	r.discard(r.order[0])
}

func (r *Reassembler) expire() {
	for len(r.order) > 0 && r.now().Sub(r.order[0].born) > patience {
		r.discard(r.order[0])
	}
}

func (r *Reassembler) discard(d *partial) {
	r.remove(d)
	r.keep(d.buf)
}

// remove forgets a datagram, but for its buffer.
func (r *Reassembler) remove(d *partial) {
	delete(r.partial, d.key)
	if i := slices.Index(r.order, d); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
}

// reuse takes back the buffer that the caller has had since the last call.
func (r *Reassembler) reuse() {
	if r.out != nil {
		r.keep(r.out)
		r.out = nil
	}
}

func (r *Reassembler) keep(buf []byte) {
	if len(r.free) < spare {
		r.free = append(r.free, buf)
	}
}

func (r *Reassembler) now() time.Time {
	if r.clock != nil {
		return r.clock()
	}
	return time.Now()
}
