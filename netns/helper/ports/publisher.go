// Package ports is the published ports: sockets of the host's, whose connections and
// datagrams go on to containers from sockets in N that have the client's own address
// (IP_TRANSPARENT), so that containers see who talks to them. Answers find these
// sockets by the firewall's rule "socket transparent".
//
//	client ──▶ listener in the host's namespace ─┐ relay: splice(2)
//	                                             └─ socket in N, bound to the client's address ──▶ container
package ports

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/skiff-containers/skiff/netns/helper/listen"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Config is what published ports need.
type Config struct {
	N *space.Space
	// Directory knows the containers' names, for the errors about ports that are taken. It may be nil.
	Directory *member.Directory
}

// Publisher serves the ports of all containers. Its methods may be called from any
// goroutine in the host's network namespace.
type Publisher struct {
	directory *member.Directory
	loops     []*loop
	limit     int // of connections, per container

	mu        sync.Mutex
	published map[string]*published // by container
}

// maxLoops bounds the threads that serve ports.
const maxLoops = 4

// Start prepares N and starts the threads.
func Start(c Config) (*Publisher, error) {
	if err := c.N.Do(prepare); err != nil {
		return nil, fmt.Errorf("preparing the networks for published ports: %w", err)
	}
	p := &Publisher{directory: c.Directory, published: map[string]*published{}, limit: connectionLimit()}
	for range min(runtime.NumCPU(), maxLoops) {
		l, err := newLoop(c.N, &p.loops)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.loops = append(p.loops, l)
	}
	var all []*relay.Loop
	for _, l := range p.loops {
		all = append(all, l.Loop)
	}
	relay.Spread(all...)
	return p, nil
}

// prepare sets what N needs for many short connections. N keeps no TIME_WAIT: it would
// bar a client's tuple that is used again, and what TIME_WAIT guards against, old
// segments that come late, cannot happen over a veth.
func prepare() error {
	for _, set := range [][2]string{{"tcp_max_tw_buckets", "0"}, {"ip_local_port_range", "10000 65535"}} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+set[0], []byte(set[1]), 0); err != nil {
			return err
		}
	}
	return nil
}

// connectionLimit leaves the descriptors of three quarters of the process's to others
// than one container; a connection takes two.
func connectionLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur/8, 16384))
}

// Close ends all: listeners, connections, threads.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.published {
		p.withdraw(id)
	}
	for _, l := range p.loops {
		l.close()
	}
}

// published is what one container has published.
type published struct {
	id      string
	sockets []*listen.Socket
	shares  []*share // one for each loop
	taken   *taken   // of its TCP ports
	home    int      // the loop that has its UDP ports
}

// Publish makes the ports that a container wants listen, all or none, and returns
// them with the host's real ports, an entry for each family. Publishing again for the same container
// replaces what it had; what stays the same is not interrupted. Ports that may be any
// are, where they are free, those of before: what an earlier helper had bound.
// Sockets in inherited, which stay the caller's, are used where they are bound to what is wanted:
// see [Publisher.Privileged].
// Errors are words for the user.
func (p *Publisher) Publish(m *member.Member, want, before []store.Port, inherited []*os.File) ([]store.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.published[m.ID()]
	given, err := listen.Inherit(inherited)
	if err != nil {
		return nil, err
	}
	have := given
	if old != nil {
		have = append(append([]*listen.Socket(nil), old.sockets...), given...)
	}
	sockets, err := listen.Bind(want, listen.Options{Have: have, Before: before, Owner: p.owner})
	if err != nil {
		listen.CloseAll(given)
		return nil, err
	}
	if old == nil && len(sockets) == 0 {
		return nil, nil
	}
	return p.enter(m, old, sockets, given)
}

// enter has the loops serve a container's sockets, and closes what is not among them.
func (p *Publisher) enter(m *member.Member, old *published, sockets, given []*listen.Socket) ([]store.Port, error) {
	now := &published{id: m.ID(), sockets: sockets}
	if old != nil {
		now.shares, now.taken, now.home = old.shares, old.taken, old.home
	} else {
		now.home = p.quietest()
		now.taken = newTaken(p.limit)
		for _, l := range p.loops {
			now.shares = append(now.shares, newShare(l, now.taken))
		}
	}
	to := newRoutes(m)
	var failed error
	for i, s := range now.shares {
		err := s.loop.Call(func() { failed = errors.Join(failed, s.serve(m, to, sockets, i == now.home)) })
		failed = errors.Join(failed, err)
	}
	own := addresses(m)
	p.forEach(now.taken, func(c *connection) {
		if !own[c.target.Addr()] {
			c.Reset()
		}
	})
	kept := map[*listen.Socket]bool{}
	for _, s := range sockets {
		kept[s] = true
	}
	if old != nil {
		given = append(given, old.sockets...)
	}
	for _, s := range given {
		if !kept[s] {
			s.Close()
		}
	}
	p.published[m.ID()] = now
	if failed != nil {
		p.withdraw(m.ID())
		return nil, fmt.Errorf("publishing ports: %w", failed)
	}
	var bound []store.Port
	for _, s := range sockets {
		bound = append(bound, s.Bound()...)
	}
	return bound, nil
}

// quietest is the loop at which the fewest containers have their UDP ports.
func (p *Publisher) quietest() int {
	homes := make([]int, len(p.loops))
	for _, pub := range p.published {
		homes[pub.home]++
	}
	best := 0
	for i, n := range homes {
		if n < homes[best] {
			best = i
		}
	}
	return best
}

// Privileged are a container's sockets on ports below 1024 (or what
// net.ipv4.ip_unprivileged_port_start says), as files that are the caller's: who keeps
// them can give them to a helper that may not bind such ports itself.
func (p *Publisher) Privileged(id string) ([]*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pub := p.published[id]
	if pub == nil {
		return nil, nil
	}
	return listen.Privileged(pub.sockets)
}

// Withdraw frees the ports of a container that has ended. They are free when it
// returns. Established connections have a moment to deliver what the container sent, and are then reset.
func (p *Publisher) Withdraw(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.withdraw(id)
}

func (p *Publisher) withdraw(id string) {
	pub := p.published[id]
	if pub == nil {
		return
	}
	delete(p.published, id)
	for _, s := range pub.shares {
		s.loop.Call(s.end)
	}
	p.forEach(pub.taken, (*connection).leave)
	// Only now, as a loop might else accept from a descriptor that is another's already.
	listen.CloseAll(pub.sockets)
}

// owner names the container that has published an address.
func (p *Publisher) owner(protocol string, addr netip.AddrPort) string {
	for id, pub := range p.published {
		for _, s := range pub.sockets {
			if !s.Excludes(protocol, addr) {
				continue
			}
			if p.directory != nil {
				if m := p.directory.Get(id); m != nil && m.Attachment.Name != "" {
					return m.Attachment.Name
				}
			}
			return id[:min(len(id), 12)]
		}
	}
	return ""
}
