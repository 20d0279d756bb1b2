package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/net/dns/dnsmessage"
)

// silence is a server that takes queries and says nothing until it is told to.
func silence(t *testing.T, addr string) (f *fake, speak func()) {
	wait := make(chan struct{})
	f = serveFake(t, nil, addr, func(q dnsmessage.Message, _ bool) [][]byte {
		if q.Questions[0].Name.String() == "slow." {
			<-wait
		}
		return [][]byte{address(q, 0, "198.51.100.1")}
	})
	return f, func() { close(wait) }
}

// Queries on one connection are answered each when its answer is there, also after
// the asker has said that it has no more.
func TestPipeline(t *testing.T) {
	t.Parallel()
	_, speak := silence(t, "127.1.6.1")
	l := newLab(t, "127.1.6.1")
	b := l.connect("asker", "one", nil)
	c := b.dial("tcp")
	var all bytes.Buffer
	check(t, writeFrame(&all, question(t, 1, "slow", dnsmessage.TypeA, 0)))
	check(t, writeFrame(&all, question(t, 2, "fast", dnsmessage.TypeA, 0)))
	check(t, writeFrame(&all, question(t, 3, "asker", dnsmessage.TypeA, 0)))
	for _, one := range all.Bytes() { // in as many segments as can be
		_, err := c.Write([]byte{one})
		check(t, err)
	}
	check(t, c.(*net.TCPConn).CloseWrite())
	var ids []uint16
	for range 3 {
		raw, err := readFrame(c, maxTCP)
		check(t, err)
		id := binary.BigEndian.Uint16(raw)
		if ids = append(ids, id); len(ids) == 2 {
			speak()
		}
	}
	if ids[2] != 1 {
		t.Errorf("answers came in the order %d; the slow one is 1", ids)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stays open")
	}
}

// What is no query ends a connection, or is passed over.
func TestNoQueries(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	response := question(t, 7, "asker", dnsmessage.TypeA, 0)
	response[2] |= 0x80
	for _, bytes := range [][]byte{{0, 0}, {0, 5, 1, 2, 3, 4, 5}, {0xff, 0xff, 1}, append([]byte{0, byte(len(response))}, response...)} {
		c := b.dial("tcp")
		_, err := c.Write(bytes)
		check(t, err)
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("after %x there is an answer", bytes)
		}
	}
	c := b.dial("udp")
	for _, datagram := range [][]byte{{}, {1}, response[:12], response, make([]byte, 20000)} {
		_, err := c.Write(datagram)
		check(t, err)
	}
	_, err := c.Write(question(t, 8, "asker", dnsmessage.TypeA, 0))
	check(t, err)
	buf := make([]byte, 512)
	if n, err := c.Read(buf); err != nil || binary.BigEndian.Uint16(buf[:n]) != 8 {
		t.Errorf("the first answer is %x, %v", buf[:n], err)
	}
}

// What cannot be answered is told so.
func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	good := question(t, 7, "asker", dnsmessage.TypeA, 0)
	edit := func(f func(q []byte) []byte) []byte { return f(bytes.Clone(good)) }
	opt := question(t, 7, "asker", dnsmessage.TypeA, 1232)
	opt[len(opt)-5] = 1 // the version
	for name, c := range map[string]struct {
		raw  []byte
		want dnsmessage.RCode
	}{
		"update":          {edit(func(q []byte) []byte { q[2] |= 5 << 3; return q }), dnsmessage.RCodeNotImplemented},
		"no question":     {edit(func(q []byte) []byte { q[5] = 0; return q[:12] }), dnsmessage.RCodeFormatError},
		"two questions":   {edit(func(q []byte) []byte { q[5] = 2; return append(q, q[12:]...) }), dnsmessage.RCodeFormatError},
		"half a question": {good[:len(good)-1], dnsmessage.RCodeFormatError},
		"a loop":          {edit(func(q []byte) []byte { return append(q[:12], 0xc0, 12, 0, 1, 0, 1) }), dnsmessage.RCodeFormatError},
		"no additional":   {edit(func(q []byte) []byte { q[11] = 200; return q }), dnsmessage.RCodeFormatError},
		"chaos":           {edit(func(q []byte) []byte { q[len(q)-1] = 3; return q }), dnsmessage.RCodeRefused},
		"a transfer":      {edit(func(q []byte) []byte { q[len(q)-3] = 252; return q }), dnsmessage.RCodeRefused},
		"new EDNS":        {opt, 0}, // the code has bits above the header's
	} {
		m := b.askRaw("udp", c.raw)
		if m.RCode != c.want {
			t.Errorf("%s is answered with %v, want %v", name, m.RCode, c.want)
		}
		if name == "new EDNS" && (len(m.Additionals) != 1 || m.Additionals[0].Header.TTL>>24 != 1) {
			t.Errorf("new EDNS: %s", m.GoString())
		}
	}
}

// One container that asks without end takes nothing from others, and no more of the
// helper than it may.
func TestQueriesAreBounded(t *testing.T) {
	t.Parallel()
	f, speak := silence(t, "127.1.6.2")
	l := newLab(t, "127.1.6.2", "options attempts:1")
	hostile, b := l.connect("hostile", "one", nil), l.connect("asker", "one", nil)
	c, flood := hostile.dial("udp"), question(t, 1, "slow", dnsmessage.TypeA, 0)
	for range 4 * l.queries.each {
		c.Write(flood)
	}
	fast := b.wantAtLast("fast", "198.51.100.1") // it came after: what was before it is in flight or dropped
	hostile.wantAtLast("hostile", hostile.addr.String())
	l.queries.mu.Lock()
	total := l.queries.total
	l.queries.mu.Unlock()
	if total > l.queries.each+2 { // with the two above, which are given back after the answer
		t.Errorf("%d queries are in flight", total)
	}
	if n := f.asked.Load(); n > int64(l.queries.each+fast) {
		t.Errorf("the server was asked %d times", n)
	}
	speak()
}

// wantAtLast is want where a query may be lost, as the server's queue is full. It tells how often it asked.
func (b *box) wantAtLast(name, want string) (times int) {
	b.t.Helper()
	c, raw, buf := b.dial("udp"), question(b.t, 4711, name, dnsmessage.TypeA, 0), make([]byte, 512)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		times++
		_, err := c.Write(raw)
		check(b.t, err)
		c.SetReadDeadline(time.Now().Add(patience / 20))
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		check(b.t, err)
		var m dnsmessage.Message
		check(b.t, m.Unpack(buf[:n]))
		if got := answers(m); got != want {
			b.t.Errorf("%s is %q, want %q", name, got, want)
		}
		return times
	}
	b.t.Errorf("%s: no answer", name)
	return times
}

// So with connections.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	hostile, b := l.connect("hostile", "one", nil), l.connect("asker", "one", nil)
	var open []net.Conn
	for range 100 {
		if c, err := hostile.tryDial("tcp"); err == nil { // else it was reset before we looked
			open = append(open, c)
		}
	}
	if got := answers(b.askRaw("tcp", question(t, 5, "asker", dnsmessage.TypeA, 0))); got != b.addr.String() {
		t.Errorf("another container gets %q", got)
	}
	served := 0
	for _, c := range open {
		if writeFrame(c, question(t, 5, "hostile", dnsmessage.TypeA, 0)) == nil {
			if _, err := readFrame(c, maxTCP); err == nil {
				served++
			}
		}
	}
	if served != l.connections.each {
		t.Errorf("%d connections are served, want %d", served, l.connections.each)
	}
}

// Who is not attached gets nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	old := b.dial("tcp")
	b.want("asker", b.addr.String())
	l.members.Remove(b.ID())
	c := b.dial("udp")
	_, err := c.Write(question(t, 1, "asker", dnsmessage.TypeA, 0))
	check(t, err)
	conns := []net.Conn{old}
	if c, err := b.tryDial("tcp"); err == nil {
		conns = append(conns, c)
	}
	for _, c := range conns {
		writeFrame(c, question(t, 1, "asker", dnsmessage.TypeA, 0))
		if _, err := readFrame(c, maxTCP); err == nil {
			t.Error("a stranger is answered by TCP")
		}
	}
	buf := make([]byte, 512)
	c.SetReadDeadline(time.Now().Add(time.Second)) // the server's time to answer what it must not
	if n, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stranger is answered by UDP: %x, %v", buf[:n], err)
	}
	c.SetReadDeadline(time.Time{})
	l.members.Put(b.Member)
	_, err = c.Write(question(t, 2, "asker", dnsmessage.TypeA, 0))
	check(t, err)
	if n, err := c.Read(buf); err != nil || binary.BigEndian.Uint16(buf[:n]) != 2 {
		t.Errorf("the first answer is %x, %v", buf[:n], err)
	}
}

// Until the containers of an earlier helper are back, queries wait.
func TestReady(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ready := make(chan struct{})
	l.Server.Close()
	l.Server = Start(Config{N: l.Server.n, Directory: l.members, ResolvConf: l.resolv, Ready: ready})
	t.Cleanup(l.Server.Close)
	b := l.connect("asker", "one", nil)
	c := b.dial("udp")
	_, err := c.Write(question(t, 1, "late", dnsmessage.TypeA, 0))
	check(t, err)
	l.put("late", nil, "one=10.90.1.2")
	close(ready)
	buf := make([]byte, 512)
	n, err := c.Read(buf)
	check(t, err)
	var m dnsmessage.Message
	check(t, m.Unpack(buf[:n]))
	if answers(m) != "10.90.1.2" {
		t.Errorf("late is %q", answers(m))
	}
}

// An address can be left and taken up again, and nothing stays of a server that was closed.
func TestListenAndClose(t *testing.T) {
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	for range 3 {
		check(t, l.Listen(b.gateway))
		b.want("asker", b.addr.String())
		l.Unlisten(b.gateway)
		l.Unlisten(b.gateway)
		check(t, l.Listen(b.gateway))
	}
	if err := l.Listen(netip.MustParseAddr("203.0.113.1")); err == nil {
		t.Error("listening on an address that N does not have went well")
	}
	l.Server.Close()
	if err := l.Listen(b.gateway); err == nil {
		t.Error("listening after Close went well")
	}
	l.Server.Close()

	_, speak := silence(t, "127.1.6.3")
	l.setResolv("127.1.6.3")
	descriptors, goroutines := count(t), runtime.NumGoroutine()
	const rounds = 5
	waited := 0
	for i := range rounds {
		s := Start(Config{N: l.Server.n, Directory: l.members, ResolvConf: l.resolv})
		check(t, s.Listen(b.gateway))
		udp, tcp, idle := b.dial("udp"), b.dial("tcp"), b.dial("tcp")
		_, err := udp.Write(question(t, 1, "slow", dnsmessage.TypeA, 0))
		check(t, err)
		check(t, writeFrame(tcp, question(t, 1, "slow", dnsmessage.TypeA, 0)))
		until(t, fmt.Sprint("both are asked, round ", i), func() bool {
			s.queries.mu.Lock()
			s.streamed.mu.Lock()
			defer s.queries.mu.Unlock()
			defer s.streamed.mu.Unlock()
			return s.queries.total == 1 && s.streamed.total == 1
		})
		s.Close()
		if len(s.health.late) > 0 { // else the queries were cut short
			waited++
		}
		for _, c := range []net.Conn{udp, tcp, idle} {
			c.Close()
		}
	}
	if waited == rounds {
		t.Error("closing waits for the end of queries")
	}
	speak()
	until(t, "descriptors are given back", func() bool { return count(t) <= descriptors })
	until(t, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// count is how many descriptors are open.
func count(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(entries)
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so in time: %s", what)
		}
	}
}

// Many containers ask at once, while others come and go.
func TestManyAskers(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.6.4", always("198.51.100.1"))
	l := newLab(t, "127.1.6.4")
	b := l.connect("asker", "one", nil)
	done := make(chan bool)
	defer func() { <-done }()
	go func() {
		defer close(done)
		for i := range 300 {
			m := &member.Member{Attachment: &store.Attachment{Container: "x", Name: fmt.Sprint("w", i)}}
			l.members.Put(m)
			l.members.Remove("x")
		}
	}()
	errs := make(chan error)
	for w := range 8 {
		c := b.dial("udp")
		asks := [][]byte{question(t, uint16(w), "asker", dnsmessage.TypeA, 0), question(t, uint16(w), "example.org", dnsmessage.TypeA, 0)}
		go func() {
			buf := make([]byte, 512)
			for i := range 100 {
				c.Write(asks[i%2])
				if _, err := c.Read(buf); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkLocal is a name of a network, asked for one after the other.
func BenchmarkLocal(b *testing.B) { bench(b, "asker") }

// BenchmarkForeign is one that a server on the host knows.
func BenchmarkForeign(b *testing.B) { bench(b, "example.org") }

func bench(b *testing.B, name string) {
	serveFake(b, nil, "127.1.7.1", always("198.51.100.1"))
	l := newLab(b, "127.1.7.1")
	box := l.connect("asker", "one", nil)
	for i := range 50 {
		l.put(fmt.Sprint("w", i), nil, fmt.Sprintf("one=10.90.1.%d", i))
	}
	c := box.dial("udp")
	raw, buf := question(b, 1, name, dnsmessage.TypeA, 0), make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(raw)
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
