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

// inherit has a pair that carries much go on at an heir of its loop. True: it is there,
// and not this thread's any more.
func (p *Pair) inherit() bool {
	l := p.loop
	if len(l.heirs) == 0 || !p.ways[0].bulk && !p.ways[1].bulk || p.sides[0].left || p.sides[1].left {
		return false
	}
	l.heir = (l.heir + 1) % len(l.heirs)
	heir := l.heirs[l.heir]
	l.mu.Lock()
	p.unwatch(l)
	l.mu.Unlock()
	for i := range p.sides {
		epollControl(l.epoll, unix.EPOLL_CTL_DEL, p.sides[i].fd, nil)
	}
	p.queued, p.loop = false, heir
	p.home.Store(heir)
	if !heir.Later(p.arrive) {
		p.close(true)
	}
	return true
}

// arrive goes on at the heir. What there was to be seen is seen again.
func (p *Pair) arrive() {
	if p.closed {
		return
	}
	if p.watch() != nil {
		p.close(true)
		return
	}
	p.pump()
}
