package ports

import (
	"net/netip"

	"github.com/skiff-containers/skiff/netns/helper/listen"
	"github.com/skiff-containers/skiff/netns/helper/relay"
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
	token  relay.Token
}

func (s *share) listen(socket *listen.Socket) (err error) {
	l := &listener{share: s, socket: socket}
	// One thread is woken for each connection, not all.
	if l.token, err = s.loop.Add(socket.FD, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, l); err == nil {
		s.listeners[socket] = l
	}
	return err
}

func (l *listener) Ready(uint32) {
	for range acceptTurn {
		fd, from, err := unix.Accept4(l.socket.FD, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			l.share.connect(fd, listen.AddrPort(from), l.socket.Port.ContainerPort, 1)
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
	if fd, _, err := unix.Accept4(l.socket.FD, unix.SOCK_CLOEXEC); err == nil {
		reset(fd)
	}
	l.share.loop.save()
}

// A client may use its tuple again at once, before the loop that had the last
// connection has read that it ended.
const tupleTries = 4

// connect carries a client's connection on to the container.
func (s *share) connect(client int, from netip.AddrPort, port uint16, try int) {
	source, target, ok := s.routes.choose(from, port)
	if !ok || s.ended || s.counts.open.Load() >= s.counts.limit || s.member.Pending.Load() >= maxPending {
		reset(client)
		return
	}
	fd, err := dial(source, target)
	if (err == unix.EADDRINUSE || err == unix.EADDRNOTAVAIL) && source.Port() != 0 {
		if try < tupleTries {
			s.retry(client, func() { s.connect(client, from, port, try+1) })
			return
		}
		fd, err = dial(s.routes.standIn(target.Addr()), target)
	}
	if err != nil {
		reset(client)
		return
	}
	s.join(client, fd, target.Addr())
}

// retry calls again when each loop has had the chance to handle the events that
// there are now: on the others two turns, as one may have begun.
func (s *share) retry(client int, again func()) {
	var path []*loop
	for _, l := range *s.loop.all {
		if l != s.loop {
			path = append(path, l, l)
		}
	}
	path = append(path, s.loop)
	var step func(i int)
	step = func(i int) {
		if i == len(path) {
			again()
		} else if !path[i].Later(func() { step(i + 1) }) {
			reset(client)
		}
	}
	step(0)
}

func (s *share) join(client, server int, target netip.Addr) {
	pending := s.member.Pending
	pending.Add(1)
	s.counts.open.Add(1)
	var pair *relay.Pair
	pair, err := s.loop.Join(client, server, relay.Options{
		Settled: func() { pending.Add(-1) },
		Ended: func() {
			s.counts.open.Add(-1)
			delete(s.pairs, pair)
		},
	})
	if err != nil {
		pending.Add(-1)
		s.counts.open.Add(-1)
		return
	}
	s.pairs[pair] = inside{server, target}
}

// dial begins a connection from N, where the loop's thread is.
func dial(source, target netip.AddrPort) (int, error) {
	fd, err := transparent(source, unix.SOCK_STREAM)
	if err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1); err == nil {
		err = unix.Connect(fd, listen.Sockaddr(target))
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// transparent makes a socket in N that is bound to anybody's address. With port 0
// the kernel chooses one when it connects, by the whole tuple, so ports do not run out.
func transparent(source netip.AddrPort, kind int) (int, error) {
	family, level, option := unix.AF_INET, unix.SOL_IP, unix.IP_TRANSPARENT
	if source.Addr().Is6() {
		family, level, option = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, level, option, 1)
	if err == nil && source.Port() == 0 {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	} else if err == nil {
		// One client may talk to several ports from one of its own.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, listen.Sockaddr(source))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// reset closes a connection with an RST.
func reset(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}
