package netload

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// received is what the reading end of a stream saw.
type received struct {
	bytes   int64
	span    time.Duration // from the first byte to the last
	matched bool
}

// drain reads a stream to its end and compares.
func drain(c net.Conn) (r received, err error) {
	buf := make([]byte, chunk)
	r.matched = true
	var first time.Time
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if r.bytes == 0 {
				first = time.Now()
			}
			r.matched = r.matched && matches(r.bytes, buf[:n])
			r.bytes += int64(n)
		}
		if err != nil {
			if r.bytes > 0 {
				r.span = time.Since(first)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return r, err
		}
	}
}

// pour writes the stream until the time has come or the context ends.
func pour(ctx context.Context, c net.Conn, span time.Duration) (int64, error) {
	end := time.Now().Add(span)
	position := int64(0)
	for time.Now().Before(end) && ctx.Err() == nil {
		n, err := c.Write(at(position, chunk))
		position += int64(n)
		if err != nil {
			return position, err
		}
	}
	return position, nil
}

const reportSize = 17

func (r received) encode() []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(r.bytes))
	out = binary.BigEndian.AppendUint64(out, uint64(r.span))
	if r.matched {
		return append(out, 1)
	}
	return append(out, 0)
}

func readReport(c net.Conn) (r received, err error) {
	var raw [reportSize]byte
	if _, err := io.ReadFull(c, raw[:]); err != nil {
		return r, err
	}
	return received{int64(binary.BigEndian.Uint64(raw[:])), time.Duration(binary.BigEndian.Uint64(raw[8:])), raw[16] == 1}, nil
}

// streams runs all flows and adds up what arrived, as the receiving end saw it.
func (l *load) streams(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.span()+2*patience)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var longest time.Duration
	for range l.Flows {
		all.Go(func() {
			r, err := l.stream(ctx)
			l.add("streaming", err)
			if !r.matched && r.bytes > 0 {
				l.add("streaming", errWrong)
			}
			mu.Lock()
			defer mu.Unlock()
			l.Bytes += r.bytes
			longest = max(longest, r.span)
		})
	}
	all.Wait()
	if longest > 0 {
		l.BitRate = float64(l.Bytes) * 8 / longest.Seconds()
		l.Result.Seconds = longest.Seconds()
	}
	return nil
}

func (l *load) stream(ctx context.Context) (received, error) {
	h := header{mode: modeSink, span: l.span()}
	if l.Reverse {
		h.mode = modeSource
	}
	c, err := l.dial(ctx, h)
	if err != nil {
		return received{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(l.span() + patience))
	if l.Reverse {
		return drain(c)
	}
	sent, err := pour(ctx, c, l.span())
	if err != nil {
		return received{}, err
	}
	if err := c.CloseWrite(); err != nil {
		return received{}, err
	}
	r, err := readReport(c)
	if err == nil && r.bytes != sent {
		r.matched = false
	}
	return r, err
}

// dial connects and sends the header.
func (l *load) dial(ctx context.Context, h header) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(h.append(nil)); err != nil {
		c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}
