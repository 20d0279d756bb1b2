package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/registry"
)

// lines shows a pull as lines of text: one for each phase of each layer, and one
// now and then for a layer that takes long.
type lines struct {
	w io.Writer

	mu      sync.Mutex
	layers  map[string]*lineState
	stopped bool
}

type lineState struct {
	phase registry.Phase
	told  time.Time
}

// lineEvery is how often a long download is told of.
const lineEvery = 10 * time.Second

func (l *lines) Update(e registry.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	if e.ID == "" || e.Phase == registry.Status {
		if e.Text != "" {
			writeAll(l.w, cell(clean(e.Text))+"\n")
		}
		return
	}
	if l.layers == nil {
		l.layers = map[string]*lineState{}
	}
	state := l.layers[e.ID]
	if state == nil {
		state = &lineState{}
		l.layers[e.ID] = state
	}
	if state.phase == e.Phase && (e.Phase != registry.Retrying && time.Since(state.told) < lineEvery || finished(e.Phase)) {
		return
	}
	state.phase, state.told = e.Phase, time.Now()
	writeAll(l.w, line(e)+"\n")
}

func (l *lines) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

func line(e registry.Event) string {
	text := fmt.Sprintf("%s: %s", clean(e.ID), e.Phase)
	switch {
	case e.Text != "":
		text += " (" + cell(clean(e.Text)) + ")"
	case finished(e.Phase) || e.Phase == registry.Waiting || e.Total == 0 && e.Current == 0:
	case e.Total == 0:
		text += " " + bytesText(e.Current)
	case e.Current == 0:
		text += " " + bytesText(e.Total)
	default:
		text += " " + bytesText(e.Current) + "/" + bytesText(e.Total)
	}
	return text
}

// bytesText is a size in four digits, as docker's progress has it: "12.34MB".
func bytesText(n int64) string { return units.HumanSizeWithPrecision(float64(n), 4) }
