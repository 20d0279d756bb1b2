package ports

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
)

// benchTarget is something to connect to: a plain server for comparison, or a published port.
type benchTarget struct {
	name    string
	from    *space.Space
	address string
}

func benchTargets(b *testing.B, serve func(net.Conn)) []benchTarget {
	l := newLab(b)
	c := l.container("4")
	accept := func(listener net.Listener) {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}
	go accept(l.listenIn(c, 80))
	port := l.publish(c, tcp(80))
	plain, err := net.Listen("tcp", ":0")
	l.check(err)
	b.Cleanup(func() { plain.Close() })
	go accept(plain)
	own := plain.Addr().(*net.TCPAddr).Port
	return []benchTarget{
		{"plain/loopback", nil, fmt.Sprintf("127.0.0.1:%d", own)},
		{"plain/world", netlab.World(), fmt.Sprintf("192.0.2.10:%d", own)},
		{"published/loopback", nil, fmt.Sprintf("127.0.0.1:%d", port)},
		{"published/world", netlab.World(), fmt.Sprintf("192.0.2.10:%d", port)},
	}
}

// One flow, and eight at once, towards the container.
func BenchmarkThroughput(b *testing.B) {
	l := &lab{t: b}
	sink := func(conn net.Conn) {
		defer conn.Close()
		buffer := make([]byte, 1<<20)
		for {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	}
	for _, target := range benchTargets(b, sink) {
		for _, flows := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", target.name, flows), func(b *testing.B) {
				const chunk = 1 << 20
				data := make([]byte, chunk)
				b.SetBytes(chunk)
				var all sync.WaitGroup
				for i := range flows {
					conn, err := l.dial(target.from, "tcp", "", target.address)
					l.check(err)
					all.Go(func() {
						for n := i; n < b.N; n += flows {
							conn.Write(data)
						}
						conn.(*net.TCPConn).CloseWrite()
						io.Copy(io.Discard, conn)
						conn.Close()
					})
				}
				all.Wait()
			})
		}
	}
}

// Connections of one request and one answer, the server closing first and the client.
func BenchmarkConnections(b *testing.B) {
	l := &lab{t: b}
	answer := make([]byte, 1000)
	for _, first := range []string{"server", "client"} {
		serve := func(conn net.Conn) {
			var request [100]byte
			if _, err := io.ReadFull(conn, request[:]); err == nil {
				conn.Write(answer)
			}
			if first == "client" {
				conn.Read(request[:])
			}
			conn.Close()
		}
		for _, target := range benchTargets(b, serve) {
			b.Run("first="+first+"/"+target.name, func(b *testing.B) {
				work := make(chan struct{}, 64)
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						buffer := make([]byte, len(answer))
						for range work {
							conn, err := l.dial(target.from, "tcp", "", target.address)
							if err != nil {
								b.Error(err)
								continue
							}
							conn.Write(buffer[:100])
							if _, err := io.ReadFull(conn, buffer); err != nil {
								b.Error(err)
							}
							if first == "server" {
								conn.Read(buffer)
							}
							conn.Close()
						}
					})
				}
				for range b.N {
					work <- struct{}{}
				}
				close(work)
				all.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conn/s")
			})
		}
	}
}
