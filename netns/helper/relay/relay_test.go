package relay

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// tcpPair is two ends of a connection: one as a connection, one as a descriptor.
func tcpPair(t *testing.T) (*net.TCPConn, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	file, err := far.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return near.(*net.TCPConn), fd
}

func start(t *testing.T) *Loop {
	t.Helper()
	l, err := Start(netlab.Space(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// owner is what hears of a pair's end.
type owner chan struct{}

func (o owner) Settled() {}
func (o owner) Ended()   { close(o) }

// joined is a connection through a pair, and what tells of its end.
func joined(t *testing.T, l *Loop) (a, b *net.TCPConn, pair *Pair, ended chan struct{}) {
	t.Helper()
	a, first := tcpPair(t)
	b, second := tcpPair(t)
	ended = make(chan struct{})
	pair = &Pair{}
	err := l.Connect(pair, first, second, &Budget{}, owner(ended))
	if err != nil {
		t.Fatal(err)
	}
	return a, b, pair, ended
}

// More connections in bulk than there are pipes, with readers that are slow at first, in both
// directions: all bytes come, and no pipe is lost.
func TestMorePairsThanPipes(t *testing.T) {
	l := start(t)
	data := make([]byte, 3<<20)
	rand.Read(data)
	var all sync.WaitGroup
	read := make(chan struct{})
	for range maxPipes + 20 {
		a, b, _, ended := joined(t, l)
		for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
			all.Go(func() { way[0].Write(data); way[0].CloseWrite() })
			all.Go(func() {
				<-read
				if got, err := io.ReadAll(way[1]); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
				}
			})
		}
		all.Go(func() { <-ended })
	}
	time.AfterFunc(300*time.Millisecond, func() { close(read) }) // most are stuck by then
	all.Wait()
	pipes.Lock()
	defer pipes.Unlock()
	if pipes.made != len(pipes.idle) || pipes.made > keepPipes {
		t.Errorf("%d pipes, %d of them idle", pipes.made, len(pipes.idle))
	}
}

// A connection at rest holds no pipe.
func TestRestingPairHoldsNoPipe(t *testing.T) {
	l := start(t)
	a, b, pair, _ := joined(t, l)
	data := make([]byte, 1<<20)
	go a.Write(make([]byte, len(data)))
	if _, err := io.ReadFull(b, data); err != nil {
		t.Fatal(err)
	}
	a.Write([]byte("x"))
	b.Read(data[:1])
	l.Call(func() {
		if pair.ways[0].pipe != nil || pair.ways[1].pipe != nil || pair.ways[0].holds() {
			t.Error("a pair at rest holds something")
		}
	})
}

// Who has left is heard to the end.
func TestLeave(t *testing.T) {
	l := start(t)
	a, b, pair, ended := joined(t, l)
	b.Write([]byte("last words"))
	b.CloseWrite()
	l.Call(func() { pair.Leave(1, time.Minute) })
	if got, err := io.ReadAll(a); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	a.Close()
	<-ended
	_, _, pair, ended = joined(t, l)
	l.Call(func() { pair.Leave(1, time.Minute) })
	<-ended // nobody closed it
}

// An early answer is delivered though its sender takes no more.
func TestEarlyAnswer(t *testing.T) {
	l := start(t)
	a, b, _, ended := joined(t, l)
	b.Write([]byte("too large"))
	b.SetLinger(0)
	got := make([]byte, 9)
	if _, err := io.ReadFull(a, got); err != nil {
		t.Fatal(err)
	}
	b.Close()
	for i := 0; i < 1000; i++ {
		if _, err := a.Write(make([]byte, 1<<16)); err != nil {
			break
		}
	}
	<-ended
	if string(got) != "too large" {
		t.Errorf("%q", got)
	}
}

// What was said before the end arrives complete, and in one segment with it where it is short.
func TestEnd(t *testing.T) {
	l := start(t)
	for _, n := range []int{1, bufferSize - 1, bufferSize, bufferSize + 1, 3*bufferSize + 1} {
		a, first := tcpPair(t)
		b, second := tcpPair(t)
		data := make([]byte, n)
		rand.Read(data)
		said := make(chan struct{})
		go func() { b.Write(data); b.CloseWrite(); close(said) }()
		if n == 1 {
			<-said
			await(t, second, unix.POLLRDHUP)
		}
		before := segments(t, a)
		if err := l.Join(&Pair{}, first, second, &Budget{}, make(owner)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(a); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes of %d, %v", len(got), n, err)
		}
		if came := segments(t, a) - before; n == 1 && came != 1 {
			t.Errorf("%d segments", came)
		}
		a.Close()
	}
}

// await waits for what poll(2) tells.
func await(t *testing.T, fd int, events int16) {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		switch _, err := unix.Poll(poll, -1); err {
		case nil:
			return
		case unix.EINTR:
		default:
			t.Fatal(err)
		}
	}
}

// segments is how many have come to a connection (tcp(7), TCP_INFO).
func segments(t *testing.T, c *net.TCPConn) (n uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		if err = e; e == nil {
			n = info.Segs_in
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Close ends all, and calls after it do nothing.
func TestClose(t *testing.T) {
	l := start(t)
	a, _, _, ended := joined(t, l)
	l.Close()
	<-ended
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
	if err := l.Call(func() {}); err != ErrClosed {
		t.Error(err)
	}
	if l.Later(func() {}) {
		t.Error("a call was taken")
	}
}

// What carries much goes on at an heir, whatever happens meanwhile; what does not, stays.
func TestHeirs(t *testing.T) {
	heir := start(t)
	l, err := Start(nil, heir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	data := make([]byte, 5<<20)
	rand.Read(data)
	var all sync.WaitGroup
	for i := range 20 {
		a, b, pair, ended := joined(t, l)
		all.Go(func() {
			for _, n := range []int{100, len(data)} {
				echoed := make(chan error, 1)
				go func() {
					_, err := io.CopyN(b, b, int64(n))
					echoed <- err
				}()
				go a.Write(data[:n])
				got := make([]byte, n)
				if _, err := io.ReadFull(a, got); err != nil || !bytes.Equal(got, data[:n]) || <-echoed != nil {
					t.Errorf("the echo of %d bytes is another: %v", n, err)
				}
				if at := pair.home.Load(); (at == heir) != (n == len(data)) {
					t.Errorf("after %d bytes it is at the wrong loop", n)
				}
			}
			b.Write([]byte("last words"))
			b.CloseWrite()
			if i%2 == 0 {
				pair.Do(func() { pair.Leave(1, time.Minute) })
			}
			if got, err := io.ReadAll(a); string(got) != "last words" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			a.Close()
			<-ended
		})
	}
	all.Wait()
}

// What carries much is spread evenly over loops that share it, also when part of it has ended.
func TestSpread(t *testing.T) {
	loops := []*Loop{start(t), start(t)}
	Spread(loops...)
	type stream struct {
		*Pair
		end func()
	}
	var streams []stream
	for range 8 {
		a, b, pair, ended := joined(t, loops[0])
		go func() { io.Copy(io.Discard, b); b.Close() }()
		go io.Copy(a, zeros{})
		streams = append(streams, stream{pair, func() { a.Close(); <-ended }})
	}
	const each = 4
	at := func(l *Loop) (n int) {
		for _, s := range streams {
			if s.Here(l) {
				n++
			}
		}
		return n
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d and %d streams", what, at(loops[0]), at(loops[1]))
			}
		}
	}
	await("with all", func() bool { return at(loops[0]) == each && at(loops[1]) == each })
	slices.SortStableFunc(streams, func(a, b stream) int { // those at the first loop in front
		switch here := a.Here(loops[0]); {
		case here == b.Here(loops[0]):
			return 0
		case here:
			return -1
		}
		return 1
	})
	for _, s := range streams[2:] {
		s.end()
	}
	streams = streams[:2]
	await("with two", func() bool { return at(loops[0]) == 1 && at(loops[1]) == 1 })
	for _, s := range streams {
		s.end()
	}
	for i, l := range loops {
		if n := l.burden.Load(); n != 0 {
			t.Errorf("loop %d has a burden of %d at last", i, n)
		}
	}
}

// zeros is a stream without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
