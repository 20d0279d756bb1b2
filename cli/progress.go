package cli

import (
	"io"
	"os"

	"github.com/skiff-containers/skiff/registry"
)

func progressKinds() []string { return []string{"auto", "tty", "plain", "json", "none"} }

// newProgress shows a pull on stderr: bars on a terminal, lines elsewhere, or as
// kind says. stop leaves the terminal in order; it may be called more than once,
// and nothing is shown after it.
func newProgress(kind string, s *streams) (progress registry.Progress, stop func()) {
	if kind == "auto" {
		kind = "plain"
		if isTerminal(s.Err) && os.Getenv("TERM") != "dumb" {
			kind = "tty"
		}
	}
	switch kind {
	case "tty":
		b := newBars(s.Err, func() (int, int) { return terminalSize(s.Err) })
		return b, b.stop
	case "plain":
		l := &lines{w: s.talk()}
		return l, l.stop
	case "json":
		j := &jsonLines{w: s.Err}
		return j, j.stop
	}
	return silence{}, func() {}
}

// silence shows nothing.
type silence struct{}

func (silence) Update(registry.Event) {}

// finished tells whether nothing more is to come of a layer.
func finished(p registry.Phase) bool {
	return p == registry.Complete || p == registry.Exists || p == registry.Mapped
}

// writeAll ignores what cannot be written: progress is no result.
func writeAll(w io.Writer, text string) { io.WriteString(w, text) }
