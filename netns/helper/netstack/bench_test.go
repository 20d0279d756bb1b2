package netstack

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/tcptest"
)

const piece = 1 << 20

// BenchmarkOut and BenchmarkIn are of one flow between a container and the host.
func BenchmarkOut(b *testing.B) {
	received := make(chan struct{})
	c := flowOf(b, func(c *net.TCPConn) {
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, piece))
		close(received)
	})
	data := make([]byte, piece)
	b.ResetTimer()
	for range b.N {
		if _, err := c.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	c.CloseWrite()
	<-received
}

func BenchmarkIn(b *testing.B) {
	c := flowOf(b, func(c *net.TCPConn) {
		data := make([]byte, piece)
		for range b.N {
			c.Write(data)
		}
	})
	b.ResetTimer()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, piece))
	if err != nil || n != int64(b.N)*piece {
		b.Errorf("%d octets came: %v", n, err)
	}
}

func flowOf(b *testing.B, handle func(*net.TCPConn)) *net.TCPConn {
	b.Helper()
	l := tcptest.New(b)
	begin(b, l)
	target := tcptest.Listen(b, nil, "192.0.2.10:0", func(c *net.TCPConn) {
		c.SetDeadline(time.Time{})
		handle(c)
	})
	c := tcptest.Dial(b, l.Container(l.Network(90, 65520)).Space, target.String())
	c.SetDeadline(time.Time{})
	b.SetBytes(piece)
	return c
}
