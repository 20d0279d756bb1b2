package dns

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of what a container may do by TCP.
const (
	idleLimit  = 10 * time.Second // for the next query to come, whole
	writeLimit = 5 * time.Second  // for an answer to be taken
	pipelined  = 8                // queries at once on one connection (RFC 7766, 6.2.1.1)
	restTime   = 50 * time.Millisecond
)

// begin answers what can be answered at once. What cannot is returned, to be asked
// elsewhere for m. All are nil where nothing is answered: to what is no query, and to who is nobody.
// Somebody who has just come, or comes back after a helper was killed, asks again.
func (s *Server) begin(from netip.Addr, raw []byte, streamed bool) (answer []byte, m *member.Member, foreign *query) {
	if m, _ = s.directory.Of(from); m == nil {
		return nil, nil, nil
	}
	q, code, err := parse(raw)
	if err != nil {
		return nil, nil, nil
	}
	limit := q.size
	if streamed {
		limit = maxTCP
	}
	if code != dnsmessage.RCodeSuccess {
		return q.reply(code, records{}, limit), m, nil
	}
	r, code, known := s.local(m, &q)
	if !known {
		return nil, m, &q
	}
	return q.reply(code, r, limit), m, nil
}

// serveUDP answers on a socket to its end.
func (s *Server) serveUDP(c *net.UDPConn) {
	if !s.awaitReady() {
		return
	}
	buf := make([]byte, maxQuery+1)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(restTime) // short of memory
			continue
		}
		if n == len(buf) {
			continue
		}
		answer, m, foreign := s.begin(from.Addr(), buf[:n], false)
		switch {
		case answer != nil:
			c.WriteToUDPAddrPort(answer, from)
		case foreign != nil && s.queries.take(m.ID()):
			// The buffer is for the next one.
			own, _, _ := parse(append([]byte(nil), buf[:n]...))
			s.busy.Go(func() {
				defer s.queries.give(m.ID())
				if answer := s.ask(m, &own, false); answer != nil {
					c.WriteToUDPAddrPort(answer, from)
				}
			})
		}
	}
}

// serveTCP accepts connections to the end of the listener.
func (s *Server) serveTCP(l *net.TCPListener) {
	if !s.awaitReady() {
		return
	}
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(restTime) // no descriptors are left: those that are used come back
			continue
		}
		from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		m, _ := s.directory.Of(from)
		if m == nil || !s.connections.take(m.ID()) {
			c.SetLinger(0)
			c.Close()
			continue
		}
		s.busy.Go(func() {
			defer s.connections.give(m.ID())
			s.serveStream(c, from)
		})
	}
}

// serveStream answers on a connection, each query when its answer is there, and
// closes it.
func (s *Server) serveStream(c *net.TCPConn, from netip.Addr) {
	defer c.Close()
	defer s.cutShort(c)()
	var asking sync.WaitGroup
	defer asking.Wait()
	var writing sync.Mutex
	write := func(answer []byte) {
		writing.Lock()
		defer writing.Unlock()
		c.SetWriteDeadline(time.Now().Add(writeLimit))
		if writeFrame(c, answer) != nil {
			c.CloseRead() // ends the reading below as well
		}
	}
	slots := make(chan struct{}, pipelined)
	for s.ctx.Err() == nil {
		c.SetReadDeadline(time.Now().Add(idleLimit))
		raw, err := readFrame(c, maxQuery)
		if err != nil {
			return
		}
		answer, m, foreign := s.begin(from, raw, true)
		switch {
		case answer != nil:
			write(answer)
		case foreign == nil:
			return // nobody's any more, or no query
		case !s.streamed.take(m.ID()):
			write(foreign.reply(dnsmessage.RCodeServerFailure, records{}, maxTCP))
		default:
			slots <- struct{}{}
			asking.Go(func() {
				defer func() { s.streamed.give(m.ID()); <-slots }()
				if answer := s.ask(m, foreign, true); answer != nil {
					write(answer)
				}
			})
		}
	}
}
