package netload

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// mostRuns bounds what a server remembers of datagrams.
const mostRuns = 64

// serveUDP counts and answers. The socket is not connected: what comes back for one
// client is nobody else's concern.
func (s *Server) serveUDP() {
	s.udp.SetReadBuffer(socketBuffer)
	s.udp.SetWriteBuffer(socketBuffer)
	runs := map[uint64]*tally{}
	sending := make(chan struct{}, 8)
	buf := make([]byte, 65536)
	for s.ctx.Err() == nil {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			continue
		}
		d, err := decode(buf[:n])
		if err != nil && !errors.Is(err, errWrong) {
			continue
		}
		if errors.Is(err, errWrong) {
			if t := runs[d.run]; t != nil {
				t.wrong++
			}
			continue
		}
		switch d.kind {
		case kindData:
			remember(runs, d.run).count(d.number)
		case kindFinish:
			s.report(remember(runs, d.run), d.run, from)
		case kindBegin:
			s.begin(d.run, buf[datagramSize:n], from, sending)
		case kindWho:
			text := netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String()
			s.udp.WriteToUDPAddrPort([]byte(text), from)
		}
	}
}

// remember finds a run's tally, or makes one in place of the oldest.
func remember(runs map[uint64]*tally, run uint64) *tally {
	t := runs[run]
	if t == nil {
		if len(runs) >= mostRuns {
			oldest := uint64(0)
			first := time.Time{}
			for key, other := range runs {
				if first.IsZero() || other.last.Before(first) {
					oldest, first = key, other.last
				}
			}
			delete(runs, oldest)
		}
		t = &tally{last: time.Now()}
		runs[run] = t
	}
	return t
}

func (s *Server) report(t *tally, run uint64, to netip.AddrPort) {
	buf := make([]byte, datagramSize+16)
	binary.BigEndian.PutUint64(buf[datagramSize:], uint64(t.wrong))
	binary.BigEndian.PutUint64(buf[datagramSize+8:], uint64(t.twice))
	s.udp.WriteToUDPAddrPort(datagram{kindReport, run, uint64(t.number)}.encode(buf), to)
}

// begin sends what a client asks for, for at most a minute, to few clients at once.
func (s *Server) begin(run uint64, ask []byte, to netip.AddrPort, sending chan struct{}) {
	if len(ask) < 24 {
		return
	}
	rate := float64(binary.BigEndian.Uint64(ask))
	span := binary.BigEndian.Uint64(ask[8:])
	size := binary.BigEndian.Uint64(ask[16:])
	if rate < 1 || span > 60_000 || size < datagramSize || size > 65507 {
		return
	}
	select {
	case sending <- struct{}{}:
	default:
		return
	}
	s.all.Go(func() {
		defer func() { <-sending }()
		write := func(b []byte) error { _, err := s.udp.WriteToUDPAddrPort(b, to); return err }
		sent, _ := send(s.ctx, run, rate, int(size), time.Duration(span)*time.Millisecond, write, func(string, error) {})
		// One may be lost.
		for range 3 {
			time.Sleep(50 * time.Millisecond)
			write(datagram{kindFinish, run, uint64(sent)}.encode(make([]byte, datagramSize)))
		}
	})
}
