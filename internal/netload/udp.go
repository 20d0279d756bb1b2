package netload

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

const (
	datagramSize = 32
	magicUDP     = "NLDu"
	socketBuffer = 4 << 20 // where the system lets a program have as much
)

// The kinds of datagrams.
const (
	kindData   = 'd' // number counts up from 0
	kindFinish = 'f' // number is how many were sent; the server answers with a report
	kindReport = 'p' // number is how many arrived; then wrong and twice, 8 bytes each, behind the header
	kindBegin  = 'b' // asks for data: rate (bit/s), milliseconds and size, 8 bytes each, behind the header
	kindWho    = 'w' // asks for the client's address, which comes back as text
)

type datagram struct {
	kind        byte
	run, number uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode writes the header, and the sum over all of buf, into buf and returns it.
func (d datagram) encode(buf []byte) []byte {
	copy(buf, magicUDP)
	buf[4] = d.kind
	clear(buf[5:8])
	binary.BigEndian.PutUint64(buf[8:], d.run)
	binary.BigEndian.PutUint64(buf[16:], d.number)
	clear(buf[24:datagramSize])
	binary.BigEndian.PutUint32(buf[24:], crc32.Checksum(buf, castagnoli))
	return buf
}

var errDatagram = errors.New("no datagram of this protocol")

// decode changes buf where the sum stands. It returns errWrong for a datagram of this
// protocol that has changed on its way.
func decode(buf []byte) (d datagram, err error) {
	if len(buf) < datagramSize || string(buf[:4]) != magicUDP {
		return d, errDatagram
	}
	sum := binary.BigEndian.Uint32(buf[24:])
	clear(buf[24:28])
	d = datagram{buf[4], binary.BigEndian.Uint64(buf[8:]), binary.BigEndian.Uint64(buf[16:])}
	if crc32.Checksum(buf, castagnoli) != sum {
		return d, errWrong
	}
	return d, nil
}

// tally is what arrived of one run.
type tally struct {
	number, wrong, twice int
	seen                 []uint64 // a bit for each number
	last                 time.Time
}

// mostDatagrams bounds a tally: 8 MB.
const mostDatagrams = 64 << 20

func (t *tally) count(number uint64) {
	if number >= mostDatagrams {
		t.wrong++
		return
	}
	for uint64(len(t.seen)) <= number/64 {
		t.seen = append(t.seen, 0)
	}
	bit := uint64(1) << (number % 64)
	if t.seen[number/64]&bit != 0 {
		t.twice++
		return
	}
	t.seen[number/64] |= bit
	t.number++
}

// datagrams sends at a rate, or has the server send, and compares the numbers.
func (l *load) datagrams(ctx context.Context) error {
	if l.Size == 0 {
		l.Size = 1400
	}
	if l.Rate == 0 {
		l.Rate = 1e9
	}
	if l.Size < datagramSize || l.Size > 65507 {
		return fmt.Errorf("datagrams of %d bytes", l.Size)
	}
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, "udp", l.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := conn.(*net.UDPConn)
	c.SetReadBuffer(socketBuffer)
	c.SetWriteBuffer(socketBuffer)
	run := rand.Uint64()
	if l.Reverse {
		return l.receive(c, run)
	}
	start := time.Now()
	sent, err := send(ctx, run, l.Rate, l.Size, l.span(), func(b []byte) error { _, err := c.Write(b); return err }, l.faults.add)
	took := time.Since(start).Seconds()
	if err != nil {
		return err
	}
	l.Sent = sent
	got, wrong, twice, err := report(c, run, sent)
	if err != nil {
		l.add("asking what arrived", err)
	}
	l.finish(got, wrong, twice, took)
	return nil
}

func (l *load) finish(got, wrong, twice int, took float64) {
	l.Done, l.Twice, l.Bytes, l.Result.Seconds = got, twice, int64(got)*int64(l.Size), took
	l.faults.mu.Lock()
	l.wrong += wrong
	l.faults.mu.Unlock()
	if l.Sent > 0 {
		l.Lost = 1 - float64(got)/float64(l.Sent)
	}
}

// send writes datagrams at a rate, late ones in bursts of at most 64, and returns how
// many it sent. A refusal that comes back from one is told and does not end it.
func send(ctx context.Context, run uint64, rate float64, size int, span time.Duration, write func([]byte) error, fault func(string, error)) (int, error) {
	buf := make([]byte, size)
	copy(buf, at(0, size))
	interval := float64(size) * 8 / rate * float64(time.Second)
	sent, failures := 0, 0
	start := time.Now()
	for ctx.Err() == nil {
		elapsed := time.Since(start)
		if elapsed >= span {
			break
		}
		due := int(float64(elapsed)/interval) + 1 - sent
		if due <= 0 {
			time.Sleep(time.Duration(interval) + 50*time.Microsecond)
			continue
		}
		for range min(due, 64) {
			if err := write(datagram{kindData, run, uint64(sent)}.encode(buf)); err != nil {
				fault("sending a datagram", err)
				if failures++; failures > 1000 {
					return sent, err
				}
			}
			sent++
		}
	}
	return sent, nil
}

// report asks what arrived until the answer does. What is on its way may take a moment:
// it waits until two answers agree.
func report(c *net.UDPConn, run uint64, sent int) (got, wrong, twice int, err error) {
	buf := make([]byte, 2048)
	before := -1
	for range 30 {
		if _, err = c.Write(datagram{kindFinish, run, uint64(sent)}.encode(buf[:datagramSize])); err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		var n int
		if n, err = c.Read(buf); err != nil {
			continue
		}
		d, e := decode(buf[:n])
		if e != nil || d.kind != kindReport || d.run != run || n < datagramSize+16 {
			err = cmp.Or(e, errDatagram)
			continue
		}
		got = int(d.number)
		wrong, twice = int(binary.BigEndian.Uint64(buf[datagramSize:])), int(binary.BigEndian.Uint64(buf[datagramSize+8:]))
		if got == before || got == sent {
			return got, wrong, twice, nil
		}
		before = got
		time.Sleep(50 * time.Millisecond)
	}
	return got, wrong, twice, err
}

// receive has the server send.
func (l *load) receive(c *net.UDPConn, run uint64) error {
	ask := make([]byte, datagramSize+24)
	binary.BigEndian.PutUint64(ask[datagramSize:], uint64(l.Rate))
	binary.BigEndian.PutUint64(ask[datagramSize+8:], uint64(l.span()/time.Millisecond))
	binary.BigEndian.PutUint64(ask[datagramSize+16:], uint64(l.Size))
	if _, err := c.Write(datagram{kindBegin, run, 0}.encode(ask)); err != nil {
		return err
	}
	buf := make([]byte, 65536)
	var t tally
	start := time.Now()
	c.SetReadDeadline(start.Add(l.span() + patience))
	for {
		n, err := c.Read(buf)
		if err != nil {
			l.add("receiving", err)
			break
		}
		d, err := decode(buf[:n])
		switch {
		case errors.Is(err, errWrong) || err == nil && d.run != run:
			t.wrong++
		case err != nil:
			l.add("receiving", err)
		case d.kind == kindFinish:
			l.Sent = int(d.number)
			l.finish(t.number, t.wrong, t.twice, time.Since(start).Seconds())
			return nil
		case d.kind == kindData:
			t.count(d.number)
		}
	}
	l.finish(t.number, t.wrong, t.twice, time.Since(start).Seconds())
	return nil
}

// unmapped writes an address of IPv4 as such, whatever socket it came by.
func unmapped(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}
