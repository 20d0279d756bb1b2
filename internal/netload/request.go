package netload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Request is one load.
type Request struct {
	Mode string // one of Modes
	Addr string // "host:port" of a server; of Serve, where to listen
	// Seconds is how long new work is begun; at most an hour. Every mode ends soon after.
	Seconds float64
	// Flows is how many streams, or how many connections at once: 1 if 0.
	Flows   int
	Reverse bool // the server sends (Stream, Datagrams)
	// ServerCloses has the server close each short connection first, which leaves
	// TIME_WAIT there, so that the client's port may be used again at once.
	ServerCloses bool
	// Ports are the first and last local port of short connections; zero: the system's choice.
	Ports [2]int
	Size  int     // of payload: the most of a short connection, or that of each request or datagram
	Rate  float64 // of Datagrams, bit/s of payload
}

// Result is what a Request came to.
type Result struct {
	Seconds float64
	Bytes   int64          `json:",omitempty"` // that arrived
	BitRate float64        `json:",omitempty"` // of those, bit/s
	Done    int            `json:",omitempty"` // connections or requests that went well, datagrams that arrived
	PerSec  float64        `json:",omitempty"` // of Done
	Sent    int            `json:",omitempty"` // datagrams
	Lost    float64        `json:",omitempty"` // share of Sent that did not arrive
	Twice   int            `json:",omitempty"` // datagrams that arrived again
	Latency *Latency       `json:",omitempty"`
	Wrong   int            // payloads that were not what was sent
	Errors  map[string]int `json:",omitempty"` // what went wrong → how often
	Text    string         `json:",omitempty"` // of Who: "192.0.2.7:41234"
}

// Latency is in microseconds.
type Latency struct {
	P50, P90, P99, Max float64
}

// The modes of a Request.
const (
	Stream    = "stream"    // throughput of TCP
	Connect   = "connect"   // short connections, each with a payload of another length that comes back
	Fresh     = "fresh"     // requests, each on a connection of its own
	Kept      = "kept"      // requests on one connection
	Datagrams = "datagrams" // UDP at a rate
	Who       = "who"       // the client's address as a TCP server sees it
	WhoUDP    = "who-udp"   // as a UDP server sees it
)

// Modes lists them.
var Modes = []string{Stream, Connect, Fresh, Kept, Datagrams, Who, WhoUDP}

// patience bounds each wait for the other side.
const patience = 10 * time.Second

// Run does what is asked and returns what came of it. Faults of the network are in the
// result; an error means that the request makes no sense or no work could begin.
func Run(ctx context.Context, r Request) (*Result, error) {
	if r.Flows <= 0 {
		r.Flows = 1
	}
	if r.Flows > 4096 || r.Seconds < 0 || r.Seconds > 3600 || r.Size < 0 || r.Size > 1<<20 || r.Rate < 0 {
		return nil, errors.New("load out of bounds")
	}
	if _, _, err := net.SplitHostPort(r.Addr); err != nil {
		return nil, err
	}
	load := &load{Request: r, faults: faults{counts: map[string]int{}}}
	start := time.Now()
	var err error
	switch r.Mode {
	case Stream:
		err = load.streams(ctx)
	case Connect:
		err = load.connects(ctx)
	case Fresh, Kept:
		err = load.requests(ctx)
	case Datagrams:
		err = load.datagrams(ctx)
	case Who, WhoUDP:
		err = load.who(ctx)
	default:
		return nil, fmt.Errorf("unknown mode %q", r.Mode)
	}
	load.Wrong, load.Errors = load.wrong, load.counts
	if load.Result.Seconds == 0 {
		load.Result.Seconds = time.Since(start).Seconds()
	}
	if load.PerSec == 0 && load.Done > 0 {
		load.PerSec = float64(load.Done) / load.Result.Seconds
	}
	if load.BitRate == 0 && load.Bytes > 0 {
		load.BitRate = float64(load.Bytes) * 8 / load.Result.Seconds
	}
	return &load.Result, err
}

// load is a Request being worked on.
type load struct {
	Request
	Result
	faults
}

func (l *load) span() time.Duration { return time.Duration(l.Request.Seconds * float64(time.Second)) }

// faults counts what goes wrong, by kind: the text without what differs each time.
type faults struct {
	mu     sync.Mutex
	counts map[string]int
	wrong  int
}

// errWrong is a payload that differs from what was sent.
var errWrong = errors.New("wrong payload")

func (f *faults) add(doing string, err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, errWrong) {
		f.wrong++
		return
	}
	text := doing + ": " + reason(err)
	if _, known := f.counts[text]; !known && len(f.counts) >= 20 {
		text = doing + ": others"
	}
	f.counts[text]++
}

// reason leaves addresses out, which would make each error a kind of its own.
func reason(err error) string {
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	}
	text := err.Error()
	return text[strings.LastIndexByte(text, '\n')+1:]
}
