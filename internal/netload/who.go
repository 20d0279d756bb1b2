package netload

import (
	"context"
	"io"
	"net"
	"time"
)

// who asks a server for the address that it sees.
func (l *load) who(ctx context.Context) error {
	if l.Mode == WhoUDP {
		return l.whoUDP(ctx)
	}
	c, err := l.dial(ctx, header{mode: modeWho})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(io.LimitReader(c, 100))
	l.Text = string(text)
	return err
}

// whoUDP asks again each second: a datagram may be lost.
func (l *load) whoUDP(ctx context.Context) error {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "udp", l.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	buf := make([]byte, 200)
	for range 5 {
		if _, err = c.Write(datagram{kind: kindWho}.encode(buf[:datagramSize])); err != nil {
			continue
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		var n int
		if n, err = c.Read(buf); err != nil {
			continue
		}
		l.Text = string(buf[:n])
		return nil
	}
	return err
}
