package dns

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"golang.org/x/net/dns/dnsmessage"
)

// askLimit is for how long servers are asked in all: by then the asker, who has
// asked twice itself, has gone.
const askLimit = 12 * time.Second

// errGarbled: a server has sent by TCP what is no answer.
var errGarbled = errors.New("no answer to the query")

// ask passes a query on and returns the first good answer, else the first that says
// what is wrong, as they came but for the id. Each server that fails is left out from then on, each that
// is silent asked again after the others.
func (s *Server) ask(m *member.Member, q *query, streamed bool) []byte {
	servers, how, internal := s.route(m)
	if len(servers) == 0 && internal {
		return q.reply(dnsmessage.RCodeNameError, records{}, maxTCP) // what musl takes for an answer, and glibc too
	}
	message := bytes.Clone(q.raw)
	var first []byte
	for deadline := time.Now().Add(askLimit); how.attempts > 0; how.attempts-- {
		silent := servers[:0]
		for _, u := range servers {
			left := min(how.timeout, time.Until(deadline))
			if left <= 0 || s.ctx.Err() != nil {
				break
			}
			answer, err := s.askOne(u, q, message, streamed, time.Now().Add(left))
			late := errors.Is(err, os.ErrDeadlineExceeded)
			s.health.mark(u.addr, late)
			switch {
			case late:
				silent = append(silent, u)
			case err != nil:
			case isVerdict(codeOf(answer)):
				binary.BigEndian.PutUint16(answer, q.header.ID)
				return answer
			case first == nil:
				first = answer
			}
		}
		servers = silent
	}
	if first == nil {
		return q.reply(dnsmessage.RCodeServerFailure, records{}, maxTCP)
	}
	binary.BigEndian.PutUint16(first, q.header.ID)
	return first
}

// isVerdict tells whether an answer settles the question: others might know more
// than a server that refuses or is itself in trouble.
func isVerdict(code dnsmessage.RCode) bool {
	switch code {
	case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented, dnsmessage.RCodeFormatError:
		return false
	}
	return true
}

// askOne asks one server, with an id and from a port that nobody can guess
// (RFC 5452, 9.2). Message is the query, of which the id is overwritten.
func (s *Server) askOne(u upstream, q *query, message []byte, streamed bool, deadline time.Time) ([]byte, error) {
	rand.Read(message[:2])
	if streamed {
		return s.askTCP(u, q, message, deadline)
	}
	return s.askUDP(u, q, message, deadline)
}

func (s *Server) askUDP(u upstream, q *query, message []byte, deadline time.Time) ([]byte, error) {
	c, err := s.dialUDP(u)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(deadline)
	defer s.cutShort(c)()
	if _, err := c.Write(message); err != nil {
		return nil, err
	}
	buf := make([]byte, maxUDP+1)
	id := binary.BigEndian.Uint16(message)
	for {
		// The socket is connected: it gets nothing from elsewhere, and is told where nobody listens.
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if !q.answeredBy(buf[:n], id) {
			continue // of another query, or from a forger
		}
		if n == len(buf) {
			return q.truncated(buf), nil
		}
		return buf[:n], nil
	}
}

func (s *Server) askTCP(u upstream, q *query, message []byte, deadline time.Time) ([]byte, error) {
	c, err := s.dialTCP(u, deadline)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(deadline)
	defer s.cutShort(c)()
	if err := writeFrame(c, message); err != nil {
		return nil, err
	}
	answer, err := readFrame(c, maxTCP)
	if err != nil {
		return nil, err
	}
	if !q.answeredBy(answer, binary.BigEndian.Uint16(message)) {
		return nil, errGarbled
	}
	return answer, nil
}

// readFrame reads a message with its length before it (RFC 1035, 4.2.2).
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n < headerSize || n > limit {
		return nil, errGarbled
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeFrame(w io.Writer, message []byte) error {
	frame := make([]byte, 2, 2+len(message))
	binary.BigEndian.PutUint16(frame, uint16(len(message)))
	_, err := w.Write(append(frame, message...))
	return err
}

// connection is a socket, in whichever namespace.
type connection interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

func (s *Server) dialUDP(u upstream) (connection, error) {
	if u.inside {
		return s.dialInside(u.addr, false, time.Time{})
	}
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.addr))
}

func (s *Server) dialTCP(u upstream, deadline time.Time) (connection, error) {
	if u.inside {
		return s.dialInside(u.addr, true, deadline)
	}
	d := net.Dialer{Deadline: deadline}
	c, err := d.DialContext(s.ctx, "tcp", u.addr.String())
	return c, timedOut(err)
}

// timedOut has package net's several errors for a deadline be one.
func timedOut(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return os.ErrDeadlineExceeded
	}
	return err
}
