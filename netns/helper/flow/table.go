// Package flow carries datagrams between containers and the host's network: what UDP
// and ICMP echo have in common. A flow is a container's socket, an address and a port
// in N, and has one socket of the host's, which is not connected:
//
//   - The host's port depends on nothing but the container's socket, as RFC 4787 asks of
//     an address translator (endpoint-independent mapping). What finds its peers by a third
//     party works: games, calls, QUIC.
//   - Each datagram is routed anew. A socket that is connected, or bound to an address,
//     would be dead after suspend or another Wi-Fi; this one goes on.
//   - A program with a thousand peers costs one descriptor.
//
// Errors come all the same, and each with its destination: IP_RECVERR (ip(7)) queues the
// ICMP errors of the network. Only addresses that the container has sent to may answer
// (RFC 4787, section 5, address-dependent filtering).
package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/member"
)

// Protocol is what differs. Its methods may be called from several goroutines, and
// must not wait.
type Protocol interface {
	// Open makes a socket of the host's: non-blocking, close-on-exec, with IP_RECVERR or IPV6_RECVERR.
	Open(v6 bool) (fd int, err error)
	// Deliver writes what came from the world to the container.
	Deliver(f *Flow, d Datagram)
	// Fail tells the container what became of a datagram that it had sent.
	Fail(f *Flow, failure Failure)
	// Idle is how long a flow is kept after its last datagram.
	Idle(f *Flow) time.Duration
}

// Datagram came from the world. Data is valid during the call only.
type Datagram struct {
	From    netip.AddrPort // as the container knows it
	Data    []byte
	TOS     uint8
	Segment int // not 0: Data is several datagrams of that many octets, the last perhaps shorter
}

// Config says how much a Table may hold. PerContainer and Total count flows.
type Config struct {
	Directory    *member.Directory
	Protocol     Protocol
	PerContainer int
	Total        int
}

// Table is the flows of one protocol.
type Table struct {
	cfg   Config
	start time.Time
	loop  *loop

	mu       sync.Mutex
	bySource map[netip.AddrPort]*Flow
	byNumber map[uint64]*Flow
	byOwner  map[string]map[*Flow]struct{} // by container id
	number   uint64
	sweeping bool
	closed   bool
}

const (
	sweepEvery = 5 * time.Second
	// quiet is how long a flow must have had nothing before it may make room for a new
	// one: whoever goes through all ports loses packets, and not everybody's time.
	quiet = time.Second
	// sample is among how many flows the oldest is looked for.
	sample = 16
)

// ErrFull: the container, or all together, have as many flows as they may, all busy.
var ErrFull = errors.New("too many flows")

// Start makes a table. The sockets belong to the network namespace of the calling
// thread's process.
func Start(cfg Config) (*Table, error) {
	t := &Table{cfg: cfg, start: time.Now(), bySource: map[netip.AddrPort]*Flow{}, byNumber: map[uint64]*Flow{},
		byOwner: map[string]map[*Flow]struct{}{}}
	var err error
	if t.loop, err = startLoop(t); err != nil {
		return nil, fmt.Errorf("making an epoll: %w", err)
	}
	return t, nil
}

// Get finds the flow of a container's socket, or makes it. It wraps
// member.ErrProhibited where the address is nobody's, and ErrFull.
func (t *Table) Get(source netip.AddrPort) (*Flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.bySource[source]; f != nil {
		if f.owned() {
			return f, nil
		}
		t.closeLocked(f) // the address has been given to another container
	}
	m, _ := t.cfg.Directory.Of(source.Addr())
	if m == nil || t.closed {
		return nil, member.ErrProhibited
	}
	if err := t.makeRoomLocked(m.ID()); err != nil {
		return nil, err
	}
	return t.openLocked(source, m.ID())
}

func (t *Table) openLocked(source netip.AddrPort, owner string) (*Flow, error) {
	fd, err := t.cfg.Protocol.Open(source.Addr().Is6())
	if err != nil {
		return nil, err
	}
	t.number++
	f := &Flow{Source: source, owner: owner, table: t, number: t.number, fd: fd, peers: map[netip.Addr]struct{}{}}
	f.touch()
	if err := t.loop.add(fd, f.number); err != nil {
		unix.Close(fd)
		return nil, err
	}
	t.bySource[source], t.byNumber[f.number] = f, f
	if t.byOwner[owner] == nil {
		t.byOwner[owner] = map[*Flow]struct{}{}
	}
	t.byOwner[owner][f] = struct{}{}
	if !t.sweeping {
		t.sweeping = true
		time.AfterFunc(sweepEvery, t.sweep)
	}
	return f, nil
}

// makeRoomLocked closes an old flow where one more would be too many.
func (t *Table) makeRoomLocked(owner string) error {
	own := t.byOwner[owner]
	switch {
	case len(own) >= t.cfg.PerContainer:
		return t.evictLocked(own)
	case len(t.bySource) >= t.cfg.Total:
		// Who has most gives: a container that takes all it can displaces itself.
		for _, flows := range t.byOwner {
			if len(flows) > len(own) {
				own = flows
			}
		}
		return t.evictLocked(own)
	}
	return nil
}

// evictLocked closes about the oldest of some flows.
func (t *Table) evictLocked(flows map[*Flow]struct{}) error {
	var oldest *Flow
	n := 0
	for f := range flows { // in no order: a random sample
		if oldest == nil || f.idle() > oldest.idle() {
			oldest = f
		}
		if n++; n == sample {
			break
		}
	}
	if oldest == nil || oldest.idle() < quiet {
		return ErrFull
	}
	t.closeLocked(oldest)
	return nil
}

func (t *Table) closeLocked(f *Flow) {
	delete(t.bySource, f.Source)
	delete(t.byNumber, f.number)
	own := t.byOwner[f.owner]
	delete(own, f)
	if len(own) == 0 {
		delete(t.byOwner, f.owner)
	}
	f.close()
}

// sweep closes what has been idle for too long, and comes again while there are flows.
func (t *Table) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.bySource {
		if f.idle() > t.cfg.Protocol.Idle(f) || !f.owned() {
			t.closeLocked(f)
		}
	}
	t.sweeping = len(t.bySource) > 0 && !t.closed
	if t.sweeping {
		time.AfterFunc(sweepEvery, t.sweep)
	}
}

// Forget closes the flows of a container that has gone. Without it they last for their
// idle time and carry nothing any more.
func (t *Table) Forget(container string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.byOwner[container] {
		t.closeLocked(f)
	}
}

// Len is how many flows there are.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.bySource)
}

// Close ends all flows.
func (t *Table) Close() {
	t.loop.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, f := range t.bySource {
		t.closeLocked(f)
	}
}

// get finds a flow that the kernel tells of; nil: closed in between.
func (t *Table) get(number uint64) *Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byNumber[number]
}

// drop closes a flow that carries nothing any more.
func (t *Table) drop(f *Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byNumber[f.number] == f {
		t.closeLocked(f)
	}
}
