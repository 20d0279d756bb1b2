package netload

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Server answers all modes on one TCP and one UDP port.
type Server struct {
	tcp  net.Listener
	udp  *net.UDPConn
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// Listen starts a server on an address such as ":7000"; port 0 is any that both
// protocols have free.
func Listen(addr string) (*Server, error) {
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	at := *tcp.Addr().(*net.TCPAddr)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return Serve(tcp, udp), nil
}

// Serve answers on sockets that the caller made, and closes them in the end; udp may be nil.
func Serve(tcp net.Listener, udp *net.UDPConn) *Server {
	s := &Server{tcp: tcp, udp: udp, conns: map[net.Conn]bool{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.all.Go(s.accept)
	if udp != nil {
		s.all.Go(s.serveUDP)
	}
	return s
}

// Port is where it listens.
func (s *Server) Port() int { return s.tcp.Addr().(*net.TCPAddr).Port }

// Close ends the server and all of its connections.
func (s *Server) Close() {
	s.stop()
	s.tcp.Close()
	if s.udp != nil {
		s.udp.Close()
	}
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// accept goes on after an error such as "too many open files", but not for ever.
func (s *Server) accept() {
	for failures := 0; failures < 1000; {
		c, err := s.tcp.Accept()
		if s.ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil {
			failures++
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.all.Go(func() {
			s.serve(c.(*net.TCPConn))
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// serve answers one connection. Whoever sees a fault is the client, which counts it.
func (s *Server) serve(c *net.TCPConn) {
	c.SetDeadline(time.Now().Add(2 * patience))
	h, err := readHeader(c)
	if err != nil {
		return
	}
	c.SetDeadline(time.Now().Add(h.span + 2*patience))
	switch h.mode {
	case modeSink:
		if r, err := drain(c); err == nil {
			c.Write(r.encode())
		}
	case modeSource:
		if _, err := pour(s.ctx, c, h.span); err == nil {
			c.CloseWrite()
			c.Read(make([]byte, 1)) // the client closes first, when it has all
		}
	case modeEcho:
		s.echo(c, h)
	case modeAsk:
		buf := make([]byte, h.size)
		for {
			c.SetDeadline(time.Now().Add(2 * patience))
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	case modeWho:
		fmt.Fprint(c, unmapped(c.RemoteAddr()))
	}
}

func (s *Server) echo(c *net.TCPConn, h header) {
	buf := make([]byte, h.size)
	if _, err := io.ReadFull(c, buf); err != nil {
		return
	}
	if _, err := c.Write(buf); err != nil {
		return
	}
	if h.flags&flagCloses == 0 {
		c.Read(buf[:1])
	}
}
