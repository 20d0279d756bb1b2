package relay

import "time"

// Leave goes on with a pair when the peer of one socket is gone: what that has sent is
// still carried to the other one, whose answers are thrown away. The socket is closed with a
// reset at last, or when the other peer has not come to an end after limit.
func (p *Pair) Leave(i int, limit time.Duration) {
	if p.closed || p.sides[i].left {
		return
	}
	if p.settling {
		p.Reset()
		return
	}
	p.sides[i].left = true
	p.discard(&p.ways[1-i])
	for j := range p.sides { // an edge may be on its way
		p.sides[j].readable, p.sides[j].last = true, true
	}
	p.pump()
	if p.closed {
		return
	}
	end := time.Now().Add(limit)
	p.loop.Tick(func(now time.Time) bool {
		if now.After(end) {
			p.Reset()
		}
		return !p.closed
	})
}

// A pair that is fading is looked at every fadeStep milliseconds, fadeMost times.
const (
	fadeStep = 5
	fadeMost = 400
)

// fade ends the broken pairs whose last data has arrived, or will not.
func (l *Loop) fade() {
	left := l.fading[:0]
	for _, p := range l.fading {
		if p.closed {
			continue
		}
		if p.faded++; p.faded > fadeMost || !p.unsent() {
			p.close(true)
		} else {
			left = append(left, p)
		}
	}
	clear(l.fading[len(left):])
	l.fading = left
}
