package cli

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/skiff-containers/skiff/registry"
)

// screen is as much of a terminal as bars needs: text, CR, LF, cursor up, erase to
// the end of the line and of the screen.
type screen struct {
	lines []string
	row   int
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' }) + 2
			var n int
			fmt.Sscanf(text[2:end], "%d", &n)
			switch text[end] {
			case 'A':
				s.row -= n
			case 'K': // every line is written from its start, and whole
			case 'J':
				s.lines = s.lines[:min(s.row, len(s.lines))]
			}
			text = text[end+1:]
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\n':
			s.row++
			text = text[1:]
		default:
			end := strings.IndexAny(text, "\x1b\r\n")
			for len(s.lines) <= s.row {
				s.lines = append(s.lines, "")
			}
			s.lines[s.row] = text[:end]
			text = text[end:]
		}
	}
	return len(p), nil
}

func testBars(columns, rows *int) (*bars, *screen, *time.Time) {
	s := &screen{}
	clock := time.Unix(0, 0)
	b := newBars(s, func() (int, int) { return *columns, *rows })
	b.now = func() time.Time { return clock }
	b.ticking = true // the test is the clock
	return b, s, &clock
}

func TestBars(t *testing.T) {
	columns, rows := 100, 24
	b, s, clock := testBars(&columns, &rows)
	send := func(e registry.Event) {
		*clock = clock.Add(time.Second)
		b.Update(e)
	}
	send(registry.Event{Phase: registry.Status, Text: "Pulling from library/alpine"})
	send(registry.Event{ID: "aaaaaaaaaaaa", Phase: registry.Waiting})
	send(registry.Event{ID: "bbbbbbbbbbbb", Phase: registry.Exists})
	send(registry.Event{ID: "aaaaaaaaaaaa", Phase: registry.Downloading, Current: 0, Total: 40e6})
	send(registry.Event{ID: "aaaaaaaaaaaa", Phase: registry.Downloading, Current: 10e6, Total: 40e6})
	want := []string{
		"Pulling from library/alpine",
		"aaaaaaaaaaaa  Downloading     [======>                   ]          10MB/40MB       10MB/s",
		"bbbbbbbbbbbb  Already exists",
	}
	if got := strings.Join(s.lines, "\n"); !sameBut(got, strings.Join(want, "\n")) {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	send(registry.Event{ID: "aaaaaaaaaaaa", Phase: registry.Retrying, Text: "connection \x1b[31mreset\n"})
	if got := s.lines[1]; got != "aaaaaaaaaaaa  Retrying        connection [31mreset " {
		t.Errorf("got %q", got)
	}
	send(registry.Event{ID: "aaaaaaaaaaaa", Phase: registry.Complete, Total: 40e6})
	send(registry.Event{Phase: registry.Status, Text: "Digest: sha256:…"})
	b.stop()
	b.stop()
	b.Update(registry.Event{Phase: registry.Status, Text: "after the end"})
	want = []string{"Pulling from library/alpine", "aaaaaaaaaaaa  Pull complete   40MB", "bbbbbbbbbbbb  Already exists", "Digest: sha256:…"}
	if got := strings.Join(s.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
	if s.row != len(s.lines) {
		t.Errorf("cursor is in row %d of %d", s.row, len(s.lines))
	}
}

// sameBut compares pictures but for how wide the bar is.
func sameBut(a, b string) bool {
	squeeze := regexp.MustCompile(`=+> +\]|  +`)
	return squeeze.ReplaceAllString(a, " ") == squeeze.ReplaceAllString(b, " ")
}

func TestBarsNeverWrapNorOverflow(t *testing.T) {
	for _, columns := range []int{1, 5, 20, 40, 60, 80, 200} {
		for _, rows := range []int{1, 2, 5, 50} {
			b, s, clock := testBars(&columns, &rows)
			for i := range 20 {
				*clock = clock.Add(time.Second)
				phase := []registry.Phase{registry.Waiting, registry.Downloading, registry.Extracting, registry.Retrying, registry.Complete}[i%5]
				b.Update(registry.Event{ID: fmt.Sprintf("%012d", i), Phase: phase, Current: int64(i) * 1e9, Total: 30e9, Text: map[bool]string{true: "connection reset by peer, once more in 2s"}[phase == registry.Retrying]})
			}
			b.stop()
			if len(s.lines) > max(rows-1, 1) {
				t.Errorf("%dx%d: %d lines", columns, rows, len(s.lines))
			}
			for _, l := range s.lines {
				if n := utf8.RuneCountInString(l); n >= columns && n > 0 {
					t.Errorf("%dx%d: %d wide: %q", columns, rows, n, l)
				}
			}
		}
	}
}

// After a terminal became narrower its lines have wrapped, and the next picture
// begins where the first of them is now.
func TestBarsFindTheirStartAfterResize(t *testing.T) {
	columns, rows := 100, 24
	b, _, _ := testBars(&columns, &rows)
	b.Update(registry.Event{ID: "a", Phase: registry.Downloading, Current: 1e6, Total: 2e6})
	b.drawn = []int{90, 10, 41}
	for width, want := range map[int]int{120: 3, 100: 3, 50: 4, 40: 6, 10: 3 + 8 + 0 + 4} {
		if got := b.height(width); got != want {
			t.Errorf("%d columns: %d lines, want %d", width, got, want)
		}
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		current, total int64
		want           string
	}{{0, 10, "[>         ]"}, {5, 10, "[====>     ]"}, {10, 10, "[==========]"}, {12, 10, "[==========]"}, {1, 1000, "[>         ]"}} {
		if got := bar(c.current, c.total, 12); got != c.want {
			t.Errorf("%d/%d: %q", c.current, c.total, got)
		}
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	l := &lines{w: &b}
	for _, e := range []registry.Event{
		{Phase: registry.Status, Text: "Pulling from x\x1b[2J"},
		{ID: "aaa", Phase: registry.Waiting},
		{ID: "aaa", Phase: registry.Downloading, Total: 2e6},
		{ID: "aaa", Phase: registry.Downloading, Current: 1e6, Total: 2e6},
		{ID: "aaa", Phase: registry.Retrying, Text: "reset"},
		{ID: "aaa", Phase: registry.Retrying, Text: "reset again"},
		{ID: "aaa", Phase: registry.Complete},
		{ID: "aaa", Phase: registry.Complete},
	} {
		l.Update(e)
	}
	l.stop()
	l.Update(registry.Event{ID: "aaa", Phase: registry.Waiting})
	want := "Pulling from x[2J\naaa: Waiting\naaa: Downloading 2MB\naaa: Retrying (reset)\naaa: Retrying (reset again)\naaa: Pull complete\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestJSONLines(t *testing.T) {
	var b bytes.Buffer
	j := &jsonLines{w: &b}
	j.Update(registry.Event{Phase: registry.Status, Text: "Pulling"})
	j.Update(registry.Event{ID: "aaa", Phase: registry.Downloading, Current: 1, Total: 2})
	j.Update(registry.Event{ID: "aaa", Phase: registry.Complete})
	want := `{"status":"Pulling"}
{"id":"aaa","status":"Downloading","progressDetail":{"current":1,"total":2}}
{"id":"aaa","status":"Pull complete"}
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestProgressFromManyGoroutines(t *testing.T) {
	for _, kind := range progressKinds() {
		p, _, _ := testProgram(t)
		progress, stop := newProgress(kind, p.streams)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				id := fmt.Sprintf("%012d", i)
				for n := range int64(100) {
					progress.Update(registry.Event{ID: id, Phase: registry.Downloading, Current: n, Total: 100})
				}
				progress.Update(registry.Event{ID: id, Phase: registry.Complete})
			})
		}
		all.Wait()
		stop()
	}
}
