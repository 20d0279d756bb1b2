package tcp

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tcptest"
)

// peer is set for the test program when it is a benchmark's server or client, in a process of its own.
const peer = "SKIFF_TCP_PEER"

// piece is what a client writes at a time.
const piece = 128 << 10

// play is such a process: "sink", "answer", "send ADDRESS FLOWS BYTES", or "ask ADDRESS CLIENTS COUNT".
func play(role string) error {
	words := strings.Fields(role)
	switch words[0] {
	case "sink":
		return serve(func(c net.Conn) {
			buf := make([]byte, piece)
			for {
				if _, err := c.Read(buf); err != nil {
					c.Close()
					return
				}
			}
		})
	case "answer":
		return serve(func(c net.Conn) {
			defer c.Close()
			ask := make([]byte, 8)
			if _, err := io.ReadFull(c, ask); err == nil {
				c.Write(ask)
			}
		})
	}
	each, _ := strconv.Atoi(words[2])
	total, _ := strconv.Atoi(words[3])
	errs := make(chan error, each)
	for i := range each {
		go func() {
			if words[0] == "send" {
				errs <- send(words[1], total/each)
				return
			}
			for n := i; n < total; n += each {
				if err := once(words[1], uint64(n)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range each {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// serve says where it listens, and ends with its standard input.
func serve(handle func(net.Conn)) error {
	l, err := net.Listen("tcp", "192.0.2.10:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	return nil
}

func send(address string, n int) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	data := make([]byte, piece)
	for ; n > 0; n -= piece {
		if _, err := c.Write(data); err != nil {
			return err
		}
	}
	c.(*net.TCPConn).CloseWrite()
	_, err = c.Read(data) // EOF, when all has arrived
	if err == io.EOF {
		err = nil
	}
	return err
}

func once(address string, n uint64) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(binary.BigEndian.AppendUint64(nil, n)); err != nil {
		return err
	}
	back, err := io.ReadAll(c)
	if err != nil || len(back) != 8 || binary.BigEndian.Uint64(back) != n {
		return fmt.Errorf("the answer to %d is %x, %v", n, back, err)
	}
	return nil
}

func command(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), peer+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

func server(b *testing.B, role string) (address string) {
	b.Helper()
	cmd := command(role)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := fmt.Fscan(out, &address); err != nil {
		b.Fatal(err)
	}
	return address
}

// client runs in a namespace; nil: the host's.
func client(b *testing.B, s *space.Space, role string) {
	b.Helper()
	cmd := command(role)
	var err error
	if s == nil {
		err = cmd.Start()
	} else {
		err = s.Do(cmd.Start) // forked by that thread
	}
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		b.Fatal(err)
	}
}

// places are where the client may be.
func places(b *testing.B, run func(b *testing.B, s *space.Space)) {
	b.Run("loopback", func(b *testing.B) { run(b, nil) })
	for _, mtu := range []int{65520, 1500} {
		b.Run(fmt.Sprint("mtu", mtu), func(b *testing.B) {
			l := tcptest.New(b)
			begin(b, l)
			run(b, l.Container(l.Network(90, mtu)).Space)
		})
	}
}

// BenchmarkThroughput is of flows from a container to the host, beside loopback.
func BenchmarkThroughput(b *testing.B) {
	for _, flows := range []int{1, 8} {
		b.Run(fmt.Sprint(flows, "flows"), func(b *testing.B) {
			places(b, func(b *testing.B, s *space.Space) {
				address := server(b, "sink")
				b.SetBytes(1 << 20)
				b.ResetTimer()
				client(b, s, fmt.Sprint("send ", address, " ", flows, " ", b.N<<20))
				b.ReportMetric(float64(b.N)*8*(1<<20)/1e9/b.Elapsed().Seconds(), "Gbit/s")
			})
		})
	}
}

// BenchmarkConnections is of connections with an answer to be checked, the server
// closing first.
func BenchmarkConnections(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprint(clients, "clients"), func(b *testing.B) {
			places(b, func(b *testing.B, s *space.Space) {
				address := server(b, "answer")
				b.ResetTimer()
				client(b, s, fmt.Sprint("ask ", address, " ", clients, " ", b.N))
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conn/s")
			})
		})
	}
}
