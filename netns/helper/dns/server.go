// Package dns is the name server on the gateway addresses of networks: it knows the
// containers that share a network with whoever asks, and passes on what else is
// asked for. Nothing is cached: a name is there as soon as its container is attached, and gone
// with it.
//
//	container ── UDP, TCP port 53 of a gateway, in N ──▶ who asks? (by source address)
//	    names and addresses of members of its networks    answered at once
//	    all of its networks are internal                  NXDOMAIN, and nothing leaves
//	    everything else                                   asked of the container's own servers, or of the
//	                                                      host's as /etc/resolv.conf has them now, from
//	                                                      the host's network
//
// What containers send is hostile: sizes, queries in flight and connections are
// bounded, for each container and in all.
package dns

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
)

// port is the port of name servers, those that are asked as well (RFC 1035, 4.2).
const port = 53

// Config is what a server needs to know.
type Config struct {
	N          *space.Space      // where gateway addresses are
	Directory  *member.Directory // who is attached
	ResolvConf string            // the host's resolv.conf(5); read again whenever it has changed

	// Ready, where not nil, is closed when the containers that an earlier helper had
	// are attached again. Until then queries wait in the kernel's queues, as they would be
	// told that names do not exist that do.
	Ready <-chan struct{}
}

// Server answers on any number of addresses. Its methods may be called at any time
// from anywhere.
type Server struct {
	n         *space.Space
	directory *member.Directory
	resolv    resolvFile
	ready     <-chan struct{}
	health    health

	queries     budget // in flight, by UDP
	connections budget // by TCP
	streamed    budget // queries in flight, by TCP

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	busy sync.WaitGroup

	mu        sync.Mutex
	listeners map[netip.Addr]*listener
}

// Start makes a server, which must be closed. It must be called, as most Go code is, on a thread
// in the host's network namespace, where it asks.
func Start(c Config) *Server {
	s := &Server{
		n:         c.N,
		directory: c.Directory,
		resolv:    resolvFile{path: c.ResolvConf},
		ready:     c.Ready,
		// An answer in the making takes some 10 KB, one by TCP up to 64 KB.
		queries:     budget{each: 128, all: 384},
		connections: budget{each: 16, all: 128},
		streamed:    budget{each: 32, all: 64},
		listeners:   map[netip.Addr]*listener{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// listener is one address.
type listener struct {
	udp *net.UDPConn
	tcp *net.TCPListener
}

func (l *listener) close() {
	l.udp.Close()
	l.tcp.Close()
}

// Listen begins to answer on an address of N, which exists there already. An address
// that is listened on is no error.
func (s *Server) Listen(addr netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners[addr] != nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return net.ErrClosed
	}
	at := netip.AddrPortFrom(addr, port)
	l := &listener{}
	err := s.n.Do(func() (err error) {
		if l.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err != nil {
			return err
		}
		if l.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)); err != nil {
			l.udp.Close()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("answering names on %s: %w", addr, err)
	}
	s.listeners[addr] = l
	s.busy.Go(func() { s.serveUDP(l.udp) })
	s.busy.Go(func() { s.serveTCP(l.tcp) })
	return nil
}

// Unlisten ends what Listen began. What was asked already is still answered by TCP.
func (s *Server) Unlisten(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listeners[addr]; l != nil {
		l.close()
		delete(s.listeners, addr)
	}
}

// Close ends everything and returns when it has ended.
func (s *Server) Close() {
	s.mu.Lock()
	s.stop()
	for addr, l := range s.listeners {
		l.close()
		delete(s.listeners, addr)
	}
	s.mu.Unlock()
	s.busy.Wait()
}

// awaitReady waits for Config.Ready; false when the server ends before.
func (s *Server) awaitReady() bool {
	if s.ready == nil {
		return true
	}
	select {
	case <-s.ready:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// cutShort closes a connection when the server ends, which lets its calls return.
// The returned function says that the connection is no longer used.
func (s *Server) cutShort(c io.Closer) (done func() bool) {
	return context.AfterFunc(s.ctx, func() { c.Close() })
}
