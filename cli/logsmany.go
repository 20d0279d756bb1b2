package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/skiff-containers/skiff/run"
)

// logColours are those of containers, in turn: not those of a terminal's own text.
var logColours = [...]colour{cyan, yellow, green, 35, 34, red}

// logLabels say what stands before a line of a log.
type logLabels struct {
	names, colours bool
	many           bool // without names: ids
}

// runLogsOfMany writes the logs of several containers, or of one with a label: one
// after another, or where they are followed as lines come. A line is never cut by
// another's.
func runLogsOfMany(ctx context.Context, e *run.Engine, s *streams, refs []string, o run.LogOptions, labels logLabels) error {
	var mu sync.Mutex
	logs := make([]func() error, len(refs))
	for i, ref := range refs {
		c, err := e.Store.Find(ref)
		if err != nil {
			return err
		}
		r, err := c.Record()
		if err != nil {
			return err
		}
		label := ""
		switch {
		case labels.names:
			label = cell(r.Name) + " "
		case labels.many:
			label = shortID(r.ID) + " "
		}
		paint := colour(0)
		if labels.colours {
			paint = logColours[i%len(logColours)]
		}
		out := &labelled{w: s.Out, mu: &mu, label: label, colour: paint}
		talk := &labelled{w: s.Err, mu: &mu, label: label, colour: paint}
		logs[i] = func() error { return errors.Join(e.Logs(ctx, r.ID, o, out, talk), out.flush(), talk.flush()) }
	}
	failed := make([]error, len(logs))
	var reading sync.WaitGroup
	for i, read := range logs {
		if o.Follow {
			reading.Go(func() { failed[i] = read() })
		} else {
			failed[i] = read()
		}
	}
	reading.Wait()
	return untilInterrupted(ctx, errors.Join(failed...))
}

// labelled writes whole lines, each with a label before it, in a colour where that is
// not 0. Several may share what they write to, by their mutex.
type labelled struct {
	w      io.Writer
	mu     *sync.Mutex
	label  string
	colour colour
	open   []byte // a line without an end
}

// labelledMost bounds a line that does not end; what is longer is cut in two.
const labelledMost = 1 << 20

func (l *labelled) Write(p []byte) (int, error) {
	l.open = append(l.open, p...)
	for {
		i := bytes.IndexByte(l.open, '\n')
		if i < 0 {
			break
		}
		if err := l.line(l.open[:i]); err != nil {
			return 0, err
		}
		l.open = l.open[i+1:]
	}
	if len(l.open) > labelledMost {
		return len(p), l.flush()
	}
	return len(p), nil
}

// flush writes a line that has no end yet.
func (l *labelled) flush() error {
	if len(l.open) == 0 {
		return nil
	}
	text := l.open
	l.open = nil
	return l.line(text)
}

func (l *labelled) line(text []byte) error {
	line := l.label + string(text)
	if l.colour != 0 {
		line = painted(l.colour, line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.w, line+"\n")
	return err
}
