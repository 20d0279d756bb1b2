package ports

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/listen"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/sock"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"golang.org/x/sys/unix"
)

// maxPending bounds the connections that a container has not answered yet.
const maxPending = 4096

// acceptTurn is how many connections are accepted before others have their turn.
const acceptTurn = 16

// listener accepts a TCP port's connections on one loop.
type listener struct {
	share  *share
	socket *listen.Socket
	port   uint16 // the container's
	token  relay.Token
}

func (s *share) listen(socket *listen.Socket) (err error) {
	l := &listener{share: s, socket: socket, port: socket.Port.ContainerPort}
	// One thread is woken for each connection, not all.
	if l.token, err = s.loop.Add(socket.FD, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, l); err == nil {
		s.listeners[socket] = l
	}
	return err
}

func (l *listener) Ready(uint32) {
	for range acceptTurn {
		fd, from, err := sock.Accept(l.socket.FD)
		switch err {
		case nil:
			l.share.connect(fd, from, l.port, 1)
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EMFILE, unix.ENFILE:
			l.refuse()
		default:
			return
		}
	}
}

// refuse takes a connection out of the queue though there is no descriptor left: it
// would wake the loop for ever.
func (l *listener) refuse() {
	if l.share.loop.spare < 0 {
		return
	}
	unix.Close(l.share.loop.spare)
	if fd, _, err := sock.Accept(l.socket.FD); err == nil {
		sock.Abort(fd)
	}
	l.share.loop.save()
}

// A client may use its tuple again at once, before the loop that had the last
// connection has read that it ended.
const tupleTries = 4

// connect carries a client's connection on to the container.
func (s *share) connect(client int, from netip.AddrPort, port uint16, try int) {
	source, target, ok := s.routes.choose(from, port)
	if !ok || s.ended || s.taken.full() || s.member.Pending.Load() >= maxPending {
		sock.Abort(client)
		return
	}
	fd, err := dial(source, target)
	if (err == unix.EADDRINUSE || err == unix.EADDRNOTAVAIL) && source.Port() != 0 {
		if try <= tupleTries {
			var before []*connection
			if try == tupleTries {
				before = s.taken.between(source, target)
			}
			s.retry(client, before, func() { s.connect(client, from, port, try+1) })
			return
		}
		fd, err = dial(s.routes.standIn(target.Addr()), target)
	}
	if err != nil {
		sock.Abort(client)
		return
	}
	s.join(client, fd, source, target)
}

// retry calls again when each loop has had the chance to handle the events that
// there are now: on the others two turns, as one may have begun. Those before it that have the
// tuple and whose client is gone make way: there is something left that the container has
// not taken, but who comes again from that port has done with it.
func (s *share) retry(client int, before []*connection, again func()) {
	var path []*loop
	for _, l := range *s.loop.all {
		if l != s.loop {
			path = append(path, l, l)
		}
	}
	path = append(path, s.loop)
	var step func(i int)
	step = func(i int) {
		if i > 0 {
			for _, c := range before {
				if c.Here(path[i-1].Loop) && c.Over(first) {
					c.Reset()
				}
			}
		}
		if i == len(path) {
			again()
		} else if !path[i].Later(func() { step(i + 1) }) {
			sock.Abort(client)
		}
	}
	step(0)
}

// connection is a client's, and the one that carries it on.
type connection struct {
	relay.Pair
	taken   *taken
	pending *atomic.Int64
	fd      int            // the second socket, in N
	source  netip.AddrPort // what that is bound to
	target  netip.AddrPort // and connected to
}

// The client's side of a connection, and the container's.
const (
	first = iota
	second
)

// leaveLimit is how long clients have for what a container has left behind.
const leaveLimit = 10 * time.Second

func (s *share) join(client, server int, source, target netip.AddrPort) {
	c := &connection{taken: s.taken, pending: s.member.Pending, fd: server, source: source, target: target}
	if s.loop.Connect(&c.Pair, client, server, &s.taken.budget, c) != nil {
		return
	}
	c.pending.Add(1)
	s.taken.add(c)
}

// Settled is called when the container has answered.
func (c *connection) Settled() { c.pending.Add(-1) }

// Ended is called when all is closed.
func (c *connection) Ended() { c.taken.remove(c) }

// leave goes on with a connection whose container has ended: the client gets what that has sent.
func (c *connection) leave() {
	sock.Set(c.fd, unix.SOL_SOCKET, unix.SO_MARK, tun.Silent)
	c.Leave(second, leaveLimit)
}

// dial begins a connection from N, where the loop's thread is.
func dial(source, target netip.AddrPort) (int, error) {
	fd, err := sock.Open(source.Addr())
	if err != nil {
		return -1, err
	}
	if err = transparent(fd, source); err == nil {
		if err = sock.Set(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1); err == nil {
			err = sock.Connect(fd, target)
		}
	}
	if err != nil && err != unix.EINPROGRESS {
		sock.Close(fd)
		return -1, err
	}
	return fd, nil
}

// transparent binds a socket in N to anybody's address. With port 0 the kernel
// chooses one when it connects, by the whole tuple, so ports do not run out.
func transparent(fd int, source netip.AddrPort) error {
	level, option := unix.SOL_IP, unix.IP_TRANSPARENT
	if source.Addr().Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	err := sock.Set(fd, level, option, 1)
	if err == nil && source.Port() == 0 {
		err = sock.Set(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	} else if err == nil {
		// One client may talk to several ports from one of its own.
		err = sock.Set(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = sock.Bind(fd, source)
	}
	return err
}
