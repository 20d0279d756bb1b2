package cli

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/skiff-containers/skiff/run"
)

// busy are the figures of a container that uses half of two processors.
func busy() *figures {
	at := time.Now()
	before := &run.Sample{ID: strings.Repeat("ab", 32), Name: "web", Read: at, Running: true, SystemCPU: 0, OnlineCPUs: 2}
	now := *before
	now.Read = at.Add(time.Second)
	now.CPU, now.SystemCPU = 1e9, 2e9
	now.Memory, now.MemoryLimit = 512<<20, 1<<30
	now.NetworkIn, now.NetworkOut, now.Pids, now.PidsLimit = 1500, 2_000_000, 9, 10
	w := &watch{seen: map[string]*figures{}, tell: func(string) {}}
	w.add("web", before)
	return w.add("web", &now)
}

func TestStatsRowIsDockers(t *testing.T) {
	got := *busy().row(false)
	want := statsRow{
		BlockIO: "0B / 0B", CPUPerc: "100.00%", Container: "web", ID: "abababababab", MemPerc: "50.00%",
		MemUsage: "512MiB / 1GiB", Name: "web", NetIO: "1.5kB / 2MB", PIDs: "9",
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	lacking := busy()
	lacking.now.Lacking = []string{"memory", "io"}
	if r := lacking.row(false); r.MemUsage != "-- / --" || r.MemPerc != "--" || r.BlockIO != "-- / --" || r.CPUPerc != "100.00%" {
		t.Errorf("got %+v", r)
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Whatever the width, no line is longer: it would be wrapped, and the next drawing
// would not cover it. More room shows more.
func TestMeterLinesFit(t *testing.T) {
	long := busy()
	long.now.Name = strings.Repeat("name", 10) + "\x1b[2J"
	before := 0
	for columns := 20; columns < 300; columns++ {
		lines := meterLines([]*figures{busy(), long}, columns, false)
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		drawn := 0
		for _, line := range lines {
			shown := escapes.ReplaceAllString(line, "")
			if utf8.RuneCountInString(shown) > columns || strings.Contains(shown, "\x1b") {
				t.Fatalf("at %d columns: %q", columns, line)
			}
			drawn += strings.Count(line, "\x1b[")
		}
		if drawn < before {
			t.Fatalf("%d columns show less than fewer", columns)
		}
		before = drawn
	}
	if before == 0 {
		t.Error("nothing is drawn at any width")
	}
}

func TestShareBar(t *testing.T) {
	for share, want := range map[float64]string{-1: "    ", 0: "····", 0.5: "██··", 1: "████", 7: "████", 0.03125: "▏···"} {
		if got := escapes.ReplaceAllString(shareBar(share, 4), ""); got != want {
			t.Errorf("%v: got %q, want %q", share, got, want)
		}
	}
	if got := escapes.ReplaceAllString(trace([]float64{0, 1, 8, 4}, 6), ""); got != "   ▂█▅" {
		t.Errorf("got %q", got)
	}
}

// A container that was removed and made again begins anew, without a peak.
func TestCountersThatFall(t *testing.T) {
	if got := growth(10, 3); got != 0 {
		t.Errorf("got %v", got)
	}
}
