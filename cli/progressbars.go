package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/skiff-containers/skiff/registry"
	"golang.org/x/term"
)

// bars shows a pull on a terminal: a line a layer, drawn over itself. Each picture
// is one write, which a terminal shows at once, so that nothing flickers. Lines
// are shorter than the terminal is wide, so that the height of a picture is known.
type bars struct {
	w    io.Writer
	size func() (columns, rows int)
	now  func() time.Time

	mu      sync.Mutex
	layers  []*barState
	byID    map[string]*barState
	above   []string // lines to be written above the bars
	drawn   []int    // lengths of the last picture's lines
	columns int      // width that it was drawn for
	last    time.Time
	ticking bool
	quit    chan struct{}
	stopped bool
}

// barState is what one layer's line shows.
type barState struct {
	registry.Event
	rate  rate
	since time.Time
}

// frame is the time between two pictures.
const frame = 80 * time.Millisecond

func newBars(w io.Writer, size func() (columns, rows int)) *bars {
	return &bars{w: w, size: size, now: time.Now, byID: map[string]*barState{}, quit: make(chan struct{})}
}

func terminalSize(f *os.File) (columns, rows int) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

// Update draws at once where a layer came to its end or a line is to be told, else
// at the next frame.
func (b *bars) Update(e registry.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	if e.ID == "" || e.Phase == registry.Status {
		if e.Text != "" {
			b.tell(cell(clean(e.Text)))
		}
		return
	}
	layer := b.byID[e.ID]
	if layer == nil {
		layer = &barState{since: b.now()}
		b.byID[e.ID] = layer
		b.layers = append(b.layers, layer)
	}
	if e.Phase != layer.Phase {
		layer.rate = rate{}
	}
	layer.Event = e
	layer.rate.add(e.Current, b.now())
	// After the last layer's end nothing may be drawn from behind: a container's
	// output comes next.
	if finished(e.Phase) || b.now().Sub(b.last) >= frame {
		b.draw()
	}
	if !b.done() && !b.ticking {
		b.ticking = true
		go b.tick()
	}
}

// tell writes a line about the whole: above the picture while layers are at work,
// below it, which then stays for good, when all have come to their end.
func (b *bars) tell(text string) {
	if b.done() {
		b.layers, b.drawn = nil, nil
		clear(b.byID)
	}
	b.above = append(b.above, text)
	b.draw()
}

func (b *bars) done() bool {
	for _, layer := range b.layers {
		if !finished(layer.Phase) {
			return false
		}
	}
	return true
}

// tick redraws while something is under way, so that rates fall and a new width is met.
func (b *bars) tick() {
	ticker := time.NewTicker(frame)
	defer ticker.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-ticker.C:
		}
		b.mu.Lock()
		if b.stopped || b.done() {
			b.ticking = false
			b.mu.Unlock()
			return
		}
		if b.now().Sub(b.last) >= frame {
			b.draw()
		}
		b.mu.Unlock()
	}
}

// stop draws the last picture and leaves the cursor below it.
func (b *bars) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	b.stopped = true
	close(b.quit)
	if !b.done() {
		b.draw()
	}
}

// draw writes a picture over the last one. The caller holds mu.
func (b *bars) draw() {
	columns, rows := b.size()
	var out strings.Builder
	if height := b.height(columns); height > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r", height)
	}
	for _, text := range b.above {
		out.WriteString("\x1b[2K" + text + "\r\n")
	}
	b.above = nil
	b.drawn, b.columns, b.last = b.drawn[:0], columns, b.now()
	for _, layer := range b.layers {
		layer.rate.add(layer.Current, b.last) // a stalled one slows down
	}
	for _, text := range b.picture(columns, max(rows-1, 1)) {
		out.WriteString("\x1b[2K" + text + "\r\n")
		b.drawn = append(b.drawn, utf8.RuneCountInString(text))
	}
	out.WriteString("\x1b[J") // what is left of a taller picture
	writeAll(b.w, out.String())
}

// height is how many lines of the terminal the last picture takes. One that became
// narrower has broken the lines that are too long for it.
func (b *bars) height(columns int) int {
	height := len(b.drawn)
	if columns >= b.columns {
		return height
	}
	for _, length := range b.drawn {
		height += max(length-1, 0) / columns
	}
	return height
}

// picture lays the lines out. Where they do not all fit, those at work come
// first, and the last line counts the others.
func (b *bars) picture(columns, rows int) []string {
	shown := b.layers
	hidden := 0
	if len(shown) > rows {
		shown = b.busiest(rows - 1)
		hidden = len(b.layers) - len(shown)
	}
	var picture []string
	for _, layer := range shown {
		picture = append(picture, layer.line(columns-1))
	}
	if hidden > 0 {
		ended := 0
		for _, layer := range b.layers {
			if finished(layer.Phase) {
				ended++
			}
		}
		picture = append(picture, ellipsis(fmt.Sprintf("and %d more layers, %d of %d complete", hidden, ended, len(b.layers)), columns-1))
	}
	return picture
}

func (b *bars) busiest(n int) []*barState {
	var busy, rest []*barState
	for _, layer := range b.layers {
		if finished(layer.Phase) || layer.Phase == registry.Waiting {
			rest = append(rest, layer)
		} else {
			busy = append(busy, layer)
		}
	}
	all := append(busy, rest...)
	return all[:max(0, min(n, len(all)))]
}
