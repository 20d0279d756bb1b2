package main

import (
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/internal/netload"
)

// row is one load that all contenders get that have such a way.
type row struct {
	name, title, unit string
	way               func(*stand) route
	load              netload.Request
	value             func(*netload.Result) float64
	rounds            int     // 0: as many as all
	warm              float64 // seconds of the same load before, which count for faults only
	cpu               bool    // give the CPU's work for each Gbit as well
	also              []aside
}

// aside is one figure more of the same runs.
type aside struct {
	name, title, unit string
	value             func(*netload.Result) float64
}

func out(s *stand) route     { return s.out }
func in(s *stand) route      { return s.in }
func own(s *stand) route     { return s.own }
func between(s *stand) route { return s.between }

func gigabits(r *netload.Result) float64  { return r.BitRate / 1e9 }
func perSecond(r *netload.Result) float64 { return r.PerSec }
func lost(r *netload.Result) float64      { return r.Lost * 100 }

func median(r *netload.Result) float64 {
	return percentile(r, func(l *netload.Latency) float64 { return l.P50 })
}
func late(r *netload.Result) float64 {
	return percentile(r, func(l *netload.Latency) float64 { return l.P99 })
}

func percentile(r *netload.Result, of func(*netload.Latency) float64) float64 {
	if r.Latency == nil {
		return 0
	}
	return of(r.Latency)
}

// atOnce is how many short connections are open at a time, and reused the range of
// local ports that they take in turn, again and again.
const atOnce = 16

var reused = [2]int{20000, 29999}

// rows are the loads at the default MTU.
func rows(o options) []row {
	stream := func(flows int, back bool) netload.Request {
		return netload.Request{Mode: netload.Stream, Seconds: o.seconds, Flows: flows, Reverse: back}
	}
	short := netload.Request{Mode: netload.Connect, Seconds: o.seconds, Flows: atOnce, ServerCloses: true, Ports: reused}
	inTurn := short
	inTurn.Flows = 1
	ask := func(mode string) netload.Request { return netload.Request{Mode: mode, Seconds: o.seconds / 2} }
	datagrams := netload.Request{Mode: netload.Datagrams, Seconds: o.seconds, Rate: 1e9}
	latency := func(name, title string, way func(*stand) route, mode string) row {
		return row{name: name, title: title + ", p50", unit: "µs", way: way, load: ask(mode), value: median,
			also: []aside{{name + "-p99", title + ", p99", "µs", late}}}
	}
	flood := func(name, title string, way func(*stand) route) row {
		return row{name: name, title: title + ": lost", unit: "%", way: way, load: datagrams, value: lost,
			also: []aside{{name + "-rate", title + ": arrived", "Gbit/s", gigabits}}}
	}
	return []row{
		{name: "out-1", title: "container → host, 1 flow", unit: "Gbit/s", way: out, load: stream(1, false), value: gigabits, cpu: true},
		{name: "out-8", title: "container → host, 8 flows", unit: "Gbit/s", way: out, load: stream(8, false), value: gigabits},
		{name: "back-1", title: "container ← host, 1 flow", unit: "Gbit/s", way: out, load: stream(1, true), value: gigabits},
		{name: "in-1", title: "host → published port, 1 flow", unit: "Gbit/s", way: in, load: stream(1, false), value: gigabits, cpu: true},
		{name: "in-8", title: "host → published port, 8 flows", unit: "Gbit/s", way: in, load: stream(8, false), value: gigabits},
		{name: "own-1", title: "host's own address → published port, 1 flow", unit: "Gbit/s", way: own, load: stream(1, false), value: gigabits},
		{name: "between-1", title: "container ↔ container, 1 flow", unit: "Gbit/s", way: between, load: stream(1, false), value: gigabits},
		{name: "between-8", title: "container ↔ container, 8 flows", unit: "Gbit/s", way: between, load: stream(8, false), value: gigabits},
		flood("udp-out", "UDP at 1 Gbit/s, container → host", out),
		flood("udp-in", "UDP at 1 Gbit/s, host → published port", in),
		{name: "connect-out-1", title: "connections, container → host, one client in turn", unit: "/s", way: out, load: inTurn, value: perSecond},
		{name: "connect-in-1", title: "connections, host → published port, one client in turn", unit: "/s", way: in, load: inTurn, value: perSecond},
		{name: "connect-out", title: fmt.Sprintf("connections, container → host, %d at once", atOnce), unit: "/s", way: out, load: short, value: perSecond},
		{name: "connect-in", title: fmt.Sprintf("connections, host → published port, %d at once", atOnce), unit: "/s", way: in, load: short, value: perSecond},
		{name: "connect-out-after", title: fmt.Sprintf("connections, container → host, %d at once, after %.0f s of them", atOnce, o.long), unit: "/s",
			way: out, load: short, value: perSecond, rounds: 1, warm: o.long},
		{name: "connect-in-after", title: fmt.Sprintf("connections, host → published port, %d at once, after %.0f s of them", atOnce, o.long), unit: "/s",
			way: in, load: short, value: perSecond, rounds: 1, warm: o.long},
		latency("fresh-out", "request on a new connection, container → host", out, netload.Fresh),
		latency("kept-out", "request on a kept connection, container → host", out, netload.Kept),
		latency("fresh-in", "request on a new connection, host → published port", in, netload.Fresh),
		latency("kept-in", "request on a kept connection, host → published port", in, netload.Kept),
	}
}

// smallRows are those at the MTU of Ethernet.
func smallRows(o options) []row {
	stream := func(name, title string, way func(*stand) route, flows int) row {
		return row{name: fmt.Sprint(name, "-", smallMTU), title: fmt.Sprint(title, ", MTU ", smallMTU), unit: "Gbit/s", way: way,
			load: netload.Request{Mode: netload.Stream, Seconds: o.seconds, Flows: flows}, value: gigabits}
	}
	return []row{
		stream("out-1", "container → host, 1 flow", out, 1),
		stream("out-8", "container → host, 8 flows", out, 8),
		stream("in-1", "host → published port, 1 flow", in, 1),
		stream("between-1", "container ↔ container, 1 flow", between, 1),
	}
}

const smallMTU = 1500

// stalled is how many seconds too long a load may take before its contender is left
// out of the row's further rounds: it waited in vain for the other side.
const stalled = 4

// measureRows works through rows with all stands, in turn.
func (n *networks) measureRows(r *report, stands []*stand, all []row) {
	for _, one := range all {
		n.measureRow(r, stands, one)
	}
}

func (n *networks) measureRow(r *report, stands []*stand, one row) {
	say("%s", one.title)
	values, work := samples{}, samples{}
	asides := make([]samples, len(one.also))
	for i := range asides {
		asides[i] = samples{}
	}
	rounds := one.rounds
	if rounds == 0 {
		rounds = n.rounds
	}
	for round := range rounds {
		for i := range stands {
			s := stands[(i+round)%len(stands)]
			way := one.way(s)
			if way == nil || n.broken[s.name+one.name] {
				continue
			}
			before, _ := busy()
			start := time.Now()
			result, err := n.once(way, one)
			if err != nil || time.Since(start).Seconds() > one.warm+one.load.Seconds+stalled {
				n.broken[s.name+one.name] = true // once is enough
			}
			if err != nil {
				r.fault(s.name, one.name, err.Error())
				continue
			}
			r.count(s.name, one.name, result)
			values[s.name] = append(values[s.name], one.value(result))
			for i, a := range one.also {
				asides[i][s.name] = append(asides[i][s.name], a.value(result))
			}
			if after, _ := busy(); one.cpu && result.Bytes > 0 {
				work[s.name] = append(work[s.name], (after-before).Seconds()*1000/(float64(result.Bytes)*8/1e9))
			}
		}
	}
	r.addSamples(one.name, one.title, one.unit, stands, values)
	for i, a := range one.also {
		r.addSamples(a.name, a.title, a.unit, stands, asides[i])
	}
	if one.cpu {
		r.addSamples("cpu-"+one.name, one.title+": work of the CPUs", "ms/Gbit", stands, work)
	}
}

// once runs a row's load once; what went wrong while it warmed up is in the result.
func (n *networks) once(way route, one row) (*netload.Result, error) {
	if one.warm == 0 {
		return way(one.load)
	}
	long := one.load
	long.Seconds = one.warm
	warm, err := way(long)
	if err != nil {
		return nil, err
	}
	result, err := way(one.load)
	if err != nil {
		return nil, err
	}
	result.Wrong += warm.Wrong
	for text, count := range warm.Errors {
		if result.Errors == nil {
			result.Errors = map[string]int{}
		}
		result.Errors[text] += count
	}
	return result, nil
}

// helperMemory adds up what carries each stand's traffic.
func (n *networks) helperMemory(r *report, stands []*stand) error {
	all, err := processes()
	if err != nil {
		return err
	}
	sizes := samples{}
	for _, s := range stands {
		for _, p := range all {
			if p.began < s.began || p.began > s.ready || !s.helps(p) {
				continue
			}
			size, err := resident(p.pid)
			if err != nil {
				return err
			}
			if sizes[s.name] == nil {
				sizes[s.name] = []float64{0}
			}
			sizes[s.name][0] += size
		}
	}
	r.addSamples("helper", "resident memory of what carries the traffic, after all that", "MB", stands, sizes)
	return nil
}
