package netload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// requests asks and waits for the answer, on connections of their own (Fresh) or on one
// for each flow (Kept).
func (l *load) requests(ctx context.Context) error {
	if l.Size == 0 {
		l.Size = 100
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var times []time.Duration
	for range l.Flows {
		all.Go(func() {
			took, err := l.ask(ctx)
			l.add("asking", err)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took...)
		})
	}
	all.Wait()
	l.Done = len(times)
	l.Latency = latency(times)
	return nil
}

// mostTimes bounds what one flow remembers.
const mostTimes = 1 << 20

func (l *load) ask(ctx context.Context) (times []time.Duration, err error) {
	end := time.Now().Add(l.span())
	payload, got := at(0, l.Size), make([]byte, l.Size)
	var c *net.TCPConn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for time.Now().Before(end) && ctx.Err() == nil && len(times) < mostTimes {
		start := time.Now()
		if c == nil {
			if c, err = l.dial(ctx, header{mode: modeAsk, size: l.Size}); err != nil {
				return times, err
			}
		}
		c.SetDeadline(start.Add(patience))
		if _, err := c.Write(payload); err != nil {
			return times, err
		}
		if _, err := io.ReadFull(c, got); err != nil {
			return times, fmt.Errorf("waiting for the answer: %w", err)
		}
		times = append(times, time.Since(start))
		if !bytes.Equal(got, payload) {
			return times, errWrong
		}
		if l.Mode == Fresh {
			c.Close()
			c = nil
		}
	}
	return times, nil
}

// latency is nil of nothing.
func latency(times []time.Duration) *Latency {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	micros := func(q float64) float64 {
		return float64(times[int(q*float64(len(times)-1))]) / float64(time.Microsecond)
	}
	return &Latency{P50: micros(0.5), P90: micros(0.9), P99: micros(0.99), Max: micros(1)}
}
