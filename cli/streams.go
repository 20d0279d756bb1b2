package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// streams are the standard streams of the process. Data goes to Out, talk to Err.
type streams struct {
	In, Out, Err *os.File
	tty          *terminal // made by terminalState
	unwritten    error     // why a result did not get to Out
	muted        bool      // notes are not wanted
}

// isTerminal tells whether a stream is one.
func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// data is where results go: stdout, cleaned of control characters where it is a terminal.
// A command need not look whether that succeeds: the program's end does.
func (s *streams) data() io.Writer { return results{cleanOn(s.Out), &s.unwritten} }

// results remembers the first failure of a writer.
type results struct {
	io.Writer
	failed *error
}

func (r results) Write(data []byte) (int, error) {
	n, err := r.Writer.Write(data)
	if err != nil && *r.failed == nil {
		*r.failed = fmt.Errorf("writing the result: %w", err)
	}
	return n, err
}

// talk is where everything else goes: stderr, cleaned likewise.
func (s *streams) talk() io.Writer { return cleanOn(s.Err) }

func cleanOn(f *os.File) io.Writer {
	if isTerminal(f) {
		return &cleanWriter{w: f}
	}
	return f
}

// width is the number of columns of f, or fallback where it is no terminal.
func width(f *os.File, fallback int) int {
	if f == nil {
		return fallback
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		return columns
	}
	return fallback
}

// colour is the number of an ANSI foreground colour (ECMA-48, SGR).
type colour int

const (
	red  colour = 31
	cyan colour = 36
)

// colourful tells whether f shows colours: a terminal, and NO_COLOR (no-color.org) not set.
func colourful(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(f)
}

// paint colours text for stderr, where that shows colours.
func (s *streams) paint(c colour, text string) string {
	if !colourful(s.Err) {
		return text
	}
	return "\x1b[" + strconv.Itoa(int(c)) + "m" + text + "\x1b[0m"
}

// say writes a line to stderr: a word in colour, and text, whose further lines are indented.
func (s *streams) say(c colour, word, text string) {
	text = strings.ReplaceAll(strings.TrimRight(clean(text), "\n"), "\n", "\n  ")
	io.WriteString(s.Err, s.paint(c, word)+" "+text+"\n")
}

// note tells the user something that is no error, where that is wanted.
func (s *streams) note(text string) {
	if !s.muted {
		s.say(cyan, "note:", text)
	}
}
