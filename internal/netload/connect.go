package netload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tagSize is what makes every connection's payload its own: the run and a number.
const tagSize = 16

// connects opens connections one after the other, Flows of them at once, each with a
// payload of another length that must come back as it was.
func (l *load) connects(ctx context.Context) error {
	most := l.Size
	if most == 0 {
		most = 4096
	}
	if most < tagSize {
		return fmt.Errorf("a payload of %d bytes has no room for its tag", most)
	}
	if l.Ports[0] < 0 || l.Ports[1] < l.Ports[0] || l.Ports[1] > 65535 {
		return fmt.Errorf("ports %d to %d", l.Ports[0], l.Ports[1])
	}
	run := rand.Uint64()
	var number atomic.Uint64
	var done atomic.Int64
	end := time.Now().Add(l.span())
	var all sync.WaitGroup
	for range l.Flows {
		all.Go(func() {
			sent, got := make([]byte, headerSize+most), make([]byte, most)
			for time.Now().Before(end) && ctx.Err() == nil {
				n := number.Add(1)
				size := tagSize + rand.IntN(most-tagSize+1)
				err := l.connect(ctx, run, n, sent[:headerSize+size], got[:size])
				l.add("connecting", err)
				if err == nil {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	l.Done = int(done.Load())
	return nil
}

// connect is one connection. The caller's buffers are sent, with room for the header,
// and for the answer.
func (l *load) connect(ctx context.Context, run, number uint64, sent, got []byte) error {
	h := header{mode: modeEcho, size: len(got)}
	if l.ServerCloses {
		h.flags = flagCloses
	}
	h.append(sent[:0])
	payload := sent[headerSize:]
	copy(payload, at(int64(number%blockSize), len(payload)))
	binary.BigEndian.PutUint64(payload, run)
	binary.BigEndian.PutUint64(payload[8:], number)
	d := net.Dialer{Timeout: patience, KeepAlive: -1}
	if l.Ports[0] > 0 {
		d.LocalAddr = &net.TCPAddr{Port: l.Ports[0] + int(number%uint64(l.Ports[1]-l.Ports[0]+1))}
		d.Control = reuse
	}
	c, err := d.DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(sent); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if n, err := io.ReadFull(c, got); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return errors.New("closed without an answer")
		}
		return err
	}
	if !bytes.Equal(got, payload) {
		return errWrong
	}
	if l.ServerCloses {
		if n, err := c.Read(got[:1]); n != 0 || !errors.Is(err, io.EOF) {
			return fmt.Errorf("waiting for the server's end: %w", cmp.Or(err, errWrong))
		}
	}
	return nil
}

// reuse lets a port be bound while another connection of it ends.
func reuse(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); e != nil {
		return e
	}
	return err
}
