package netload

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// server listens on both families of the loopback interface, where it has both.
func server(t *testing.T, host string) string {
	t.Helper()
	s, err := Listen(net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(s.Close)
	return net.JoinHostPort(host, strconv.Itoa(s.Port()))
}

func clean(t *testing.T, r Request) *Result {
	t.Helper()
	result, err := Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if result.Wrong != 0 || len(result.Errors) != 0 {
		t.Errorf("%s: %d wrong, errors %v", r.Mode, result.Wrong, result.Errors)
	}
	return result
}

// within runs a load for longer and longer, as a machine may be busy meanwhile, until enough
// came of it.
func within(t *testing.T, r Request, run func(*testing.T, Request) *Result, enough func(*Result) bool) {
	t.Helper()
	var result *Result
	for ; r.Seconds < 60; r.Seconds *= 5 {
		if result = run(t, r); t.Failed() || enough(result) {
			return
		}
	}
	t.Errorf("%+v: too little was done: %+v", r, result)
}

func TestEveryMode(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			addr := server(t, host)
			for _, r := range []Request{
				{Mode: Stream, Flows: 2},
				{Mode: Stream, Reverse: true},
				{Mode: Connect, Flows: 4},
				{Mode: Connect, ServerCloses: true, Flows: 4},
				{Mode: Fresh},
				{Mode: Kept},
				{Mode: Datagrams, Rate: 1e7},
				{Mode: Datagrams, Rate: 1e7, Reverse: true},
			} {
				r.Addr, r.Seconds = addr, 0.1
				within(t, r, clean, func(result *Result) bool { return result.Done > 0 || result.Bytes > 0 })
			}
			for _, mode := range []string{Who, WhoUDP} {
				if got := clean(t, Request{Mode: mode, Addr: addr}).Text; !strings.HasPrefix(got, net.JoinHostPort(host, "")) {
					t.Errorf("%s: the server sees %q", mode, got)
				}
			}
		})
	}
}

// A port is used again at once where the server has the TIME_WAIT.
func TestSourcePortsAreUsedAgain(t *testing.T) {
	addr := server(t, "127.0.0.1")
	r := Request{Mode: Connect, Addr: addr, Seconds: 0.2, ServerCloses: true, Ports: [2]int{20100, 20103}}
	within(t, r, clean, func(result *Result) bool { return result.Done >= 5 })
}

func TestRefusalsAreCounted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	r, err := Run(context.Background(), Request{Mode: Stream, Addr: addr, Seconds: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors["streaming: connection refused"] != 1 {
		t.Errorf("errors: %v", r.Errors)
	}
}

// forge answers each connection with what twist makes of the payload.
func forge(t *testing.T, twist func([]byte) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if h, err := readHeader(c); err == nil {
				payload := make([]byte, h.size)
				io.ReadFull(c, payload)
				c.Write(twist(payload))
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// An answer that belongs to another connection is wrong; an empty one is an error.
func TestForeignPayloadsAreFound(t *testing.T) {
	var first []byte
	swapped := forge(t, func(b []byte) []byte {
		if first == nil {
			first = bytes.Repeat(b, 2)
		}
		return first[:min(len(b), len(first))]
	})
	empty := forge(t, func([]byte) []byte { return nil })
	load := func(t *testing.T, r Request) *Result {
		result, err := Run(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	within(t, Request{Mode: Connect, Addr: swapped, Seconds: 0.05, Size: 16}, load, func(r *Result) bool { return r.Wrong > 0 })
	within(t, Request{Mode: Connect, Addr: empty, Seconds: 0.05}, load, func(r *Result) bool {
		if r.Done != 0 {
			t.Errorf("empty answers: %+v", r)
		}
		return r.Errors["connecting: closed without an answer"] > 0
	})
}

// A stream from which bytes are lost, or in which they come twice, does not match.
func TestStreamsAreCompared(t *testing.T) {
	whole := append([]byte(nil), at(0, 200_000)...)
	for name, changed := range map[string][]byte{
		"lost":  append(append([]byte(nil), whole[:70_000]...), whole[70_100:]...),
		"twice": append(append([]byte(nil), whole[:70_000]...), whole[69_000:]...),
	} {
		if matches(0, changed) {
			t.Errorf("%s: not found", name)
		}
	}
	if !matches(0, whole) || !matches(5, whole[5:]) {
		t.Error("a whole stream does not match")
	}
}

func TestAgent(t *testing.T) {
	in, requests := io.Pipe()
	replies, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Agent(context.Background(), in, out) }()
	r := NewRemote(requests, replies)
	served, err := r.Do(Request{Mode: ModeServe, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := r.Do(Request{Mode: Who, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(served.Port))})
	if err != nil || !strings.HasPrefix(reply.Result.Text, "127.0.0.1:") {
		t.Errorf("reply %+v, %v", reply, err)
	}
	if _, err := r.Do(Request{Mode: "none", Addr: "127.0.0.1:1"}); err == nil {
		t.Error("an unknown mode is no error")
	}
	requests.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(datagram{kindData, 1, 2}.encode(make([]byte, 64)))
	f.Add(datagram{kindFinish, 1, 2}.encode(make([]byte, datagramSize)))
	f.Fuzz(func(t *testing.T, data []byte) { decode(data) })
}
