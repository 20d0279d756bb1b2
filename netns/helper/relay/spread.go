package relay

import "golang.org/x/sys/unix"

// Do runs f on the thread of the pair's loop, wherever that is by now, and returns when it has
// run. It must not be called from there.
func (p *Pair) Do(f func()) error {
	for {
		l, ran := p.home.Load(), false
		err := l.Call(func() {
			if ran = p.home.Load() == l; ran {
				f()
			}
		})
		if ran || err != nil {
			return err
		}
	}
}

// Here tells whether the pair is at a loop, on whose thread it is asked.
func (p *Pair) Here(l *Loop) bool { return p.home.Load() == l }

// Spread has loops share evenly what carries much: such a pair goes on at the loop that has
// the fewest of them. The loops have no pairs yet.
func Spread(loops ...*Loop) {
	for _, l := range loops {
		l.crew = loops
	}
}

// overburdened is a loop from the beginning that leaves to its heirs what carries much.
const overburdened = 1 << 30

// weigh notes whether the pair carries much.
func (p *Pair) weigh(heavy bool) {
	if p.heavy == heavy {
		return
	}
	p.heavy = heavy
	if heavy {
		p.loop.burden.Add(1)
	} else {
		p.loop.burden.Add(-1)
	}
}

// moveOn has a pair that carries much go on at another loop, where that evens out what they
// have. True: it is there, and not this thread's any more.
func (p *Pair) moveOn() bool {
	p.weigh(p.ways[0].bulk || p.ways[1].bulk)
	if !p.heavy || p.sides[0].left || p.sides[1].left {
		return false
	}
	l := p.loop
	to := l
	for _, other := range l.crew {
		if other.burden.Load() < to.burden.Load() {
			to = other
		}
	}
	if l.burden.Load()-to.burden.Load() < 2 {
		return false
	}
	l.mu.Lock()
	p.unwatch(l)
	l.mu.Unlock()
	for i := range p.sides {
		epollControl(l.epoll, unix.EPOLL_CTL_DEL, p.sides[i].fd, nil)
	}
	l.burden.Add(-1)
	to.burden.Add(1)
	p.queued, p.moving, p.loop = false, true, to
	p.home.Store(to)
	if !to.Later(p.arrive) {
		p.close(true)
	}
	return true
}

// arrive goes on at the other loop. What there was to be seen is seen again.
func (p *Pair) arrive() {
	p.moving = false
	if p.closed {
		return
	}
	if p.watch() != nil {
		p.close(true)
		return
	}
	p.pump()
}
