package ports

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/skiff-containers/skiff/netns/helper/listen"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"golang.org/x/sys/unix"
)

// loop is a thread that serves ports, with what all ports share on it.
type loop struct {
	*relay.Loop
	all   *[]*loop // of the publisher
	batch *batch   // of datagrams
	// spare is a descriptor to be given up when there is no other, so that a
	// connection can be taken out of a listener's queue and refused.
	spare int
}

func newLoop(n *space.Space, all *[]*loop) (*loop, error) {
	r, err := relay.Start(n)
	if err != nil {
		return nil, err
	}
	l := &loop{Loop: r, all: all, batch: newBatch(), spare: -1}
	l.save()
	return l, nil
}

func (l *loop) save() {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	l.spare = fd
}

func (l *loop) close() {
	l.Close()
	if l.spare >= 0 {
		unix.Close(l.spare)
	}
}

// taken are a container's connections, on all loops.
type taken struct {
	limit  int
	budget relay.Budget

	mu   sync.Mutex
	open map[*connection]struct{}
}

func newTaken(limit int) *taken { return &taken{limit: limit, open: map[*connection]struct{}{}} }

func (t *taken) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open) >= t.limit
}

func (t *taken) add(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[c] = struct{}{}
}

func (t *taken) remove(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
}

// between are the connections that have a tuple in N.
func (t *taken) between(source, target netip.AddrPort) (found []*connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		if c.source == source && c.target == target {
			found = append(found, c)
		}
	}
	return found
}

// forEach calls f for the connections that there are, each on the thread of its loop. Those
// that move meanwhile are met at another one.
func (p *Publisher) forEach(t *taken, f func(*connection)) {
	t.mu.Lock()
	left := slices.Collect(maps.Keys(t.open))
	t.mu.Unlock()
	for len(left) > 0 {
		for _, l := range p.loops {
			err := l.Call(func() {
				left = slices.DeleteFunc(left, func(c *connection) bool {
					here := c.Here(l.Loop)
					if here && !c.Closed() {
						f(c)
					}
					return here
				})
			})
			if err != nil {
				return
			}
		}
	}
}

// share is what one loop has of a container's ports. It belongs to the loop's thread.
type share struct {
	loop      *loop
	taken     *taken
	member    *member.Member
	routes    routes
	listeners map[*listen.Socket]*listener
	datagrams map[*listen.Socket]*datagrams
	tuples    map[tuple]struct{} // of UDP flows
	ended     bool
}

func newShare(l *loop, t *taken) *share {
	return &share{loop: l, taken: t, listeners: map[*listen.Socket]*listener{}, datagrams: map[*listen.Socket]*datagrams{},
		tuples: map[tuple]struct{}{}}
}

// serve makes the share's ports be these. TCP listeners are served by all loops,
// UDP ports by the container's home.
func (s *share) serve(m *member.Member, to routes, sockets []*listen.Socket, home bool) error {
	s.member, s.routes = m, to
	wanted := map[*listen.Socket]bool{}
	for _, socket := range sockets {
		wanted[socket] = true
		var err error
		switch {
		case socket.Port.Protocol == "tcp" && s.listeners[socket] == nil:
			err = s.listen(socket)
		case socket.Port.Protocol == "udp" && home && s.datagrams[socket] == nil:
			err = s.receive(socket)
		}
		if err != nil {
			return err
		}
	}
	for socket, l := range s.listeners {
		if !wanted[socket] {
			s.loop.Remove(socket.FD, l.token)
			delete(s.listeners, socket)
		}
	}
	for socket, d := range s.datagrams {
		if !wanted[socket] {
			d.end()
			delete(s.datagrams, socket)
		}
	}
	s.part()
	return nil
}

// addresses are a container's own ones. What goes on with others that it had ends: they may be
// another's soon.
func addresses(m *member.Member) map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	for _, e := range m.Attachment.Endpoints {
		own[e.IPv4.Addr()], own[e.IPv6.Addr()] = true, true
	}
	return own
}

// part ends the flows of datagrams with addresses that the container has no longer.
func (s *share) part() {
	own := addresses(s.member)
	for _, d := range s.datagrams {
		for _, f := range d.flows {
			if !own[f.tuple.target.Addr()] {
				d.forget(f)
			}
		}
	}
}

// end stops serving. The sockets are closed by the caller, when all loops have ended.
func (s *share) end() {
	s.ended = true
	for socket, l := range s.listeners {
		s.loop.Remove(socket.FD, l.token)
	}
	for _, d := range s.datagrams {
		d.end()
	}
	clear(s.listeners)
	clear(s.datagrams)
}
