package hello

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// Options say how to draw.
type Options struct {
	Pretty bool // colours and boxes: the output is a terminal
	Width  int  // columns; 0 is 80
}

// Bounds of the box: narrower and the values have no room, wider and lines are
// hard to read.
const (
	minWidth = 44
	maxWidth = 88
)

// Show looks around and writes what it found in one go.
func Show(w io.Writer, o Options) error {
	now := time.Now() // before looking around takes its time
	name, _ := os.Hostname()
	var b bytes.Buffer
	if o.Pretty {
		pretty(&b, name, facts(now), width(o.Width))
	} else {
		plain(&b, name, facts(now))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func width(columns int) int {
	if columns == 0 {
		columns = 80
	}
	return min(max(columns, minWidth), maxWidth)
}

func greeting(name string) string {
	return fmt.Sprintf("Hello from container %s!", name)
}

const explanation = "It runs without root and without a daemon. This is what it sees of itself:"

// plain is for pipes and files: one fact a line.
func plain(b *bytes.Buffer, name string, all []fact) {
	fmt.Fprintf(b, "%s\n%s\n", greeting(name), explanation)
	for _, f := range all {
		fmt.Fprintf(b, "%s: %s\n", f.label, f.value)
	}
}

const (
	reset = "\x1b[0m"
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	green = "\x1b[32m"
	amber = "\x1b[33m"
	blue  = "\x1b[36m"
)

// boat is 21 columns wide.
var boat = [...]string{
	`         |\          `,
	`         | \         `,
	`         |__\        `,
	`   ______|________   `,
	`   \   s k i f f /   `,
	`~~~~\___________/~~~~`,
}

// pretty is for people: a box of columns' width.
func pretty(b *bytes.Buffer, name string, all []fact, columns int) {
	inner := columns - 4
	line := func(text, style string) {
		space := max(0, inner-utf8.RuneCountInString(text))
		fmt.Fprintf(b, "%s│%s %s%s%s%s %s│%s\n", blue, reset, style, text, reset, strings.Repeat(" ", space), blue, reset)
	}
	rule := strings.Repeat("─", columns-2)
	fmt.Fprintf(b, "%s╭%s╮%s\n", blue, rule, reset)
	for _, row := range boat {
		line(strings.Repeat(" ", (inner-len(row))/2)+row, blue)
	}
	line("", "")
	for _, row := range wrap(greeting(name), inner) {
		line(row, bold)
	}
	for _, row := range wrap(explanation, inner) {
		line(row, dim)
	}
	line("", "")
	labels := 0
	for _, f := range all {
		labels = max(labels, utf8.RuneCountInString(f.label))
	}
	for _, f := range all {
		factRows(b, f, labels, inner)
	}
	fmt.Fprintf(b, "%s╰%s╯%s\n", blue, rule, reset)
}

// factRows writes one fact: a mark, the label, and the value, wrapped.
func factRows(b *bytes.Buffer, f fact, labels, inner int) {
	mark, colour := "●", green
	if !f.good {
		mark, colour = "○", amber
	}
	indent := labels + 4
	for i, row := range wrap(f.value, inner-indent) {
		head := strings.Repeat(" ", indent)
		if i == 0 {
			head = fmt.Sprintf("%s%s%s %s%-*s%s  ", colour, mark, reset, bold, labels, f.label, reset)
		}
		space := max(0, inner-indent-utf8.RuneCountInString(row))
		fmt.Fprintf(b, "%s│%s %s%s%s %s│%s\n", blue, reset, head, row, strings.Repeat(" ", space), blue, reset)
	}
}

// wrap breaks text between words, and within one that is longer than a line.
func wrap(text string, columns int) []string {
	var rows []string
	row := ""
	for _, word := range strings.Fields(text) {
		for {
			used := utf8.RuneCountInString(row)
			if used > 0 {
				used++
			}
			if used+utf8.RuneCountInString(word) <= columns {
				if row != "" {
					row += " "
				}
				row += word
				break
			}
			if row != "" {
				rows, row = append(rows, row), ""
				continue
			}
			runes := []rune(word)
			rows = append(rows, string(runes[:columns]))
			word = string(runes[columns:])
		}
	}
	if row != "" || len(rows) == 0 {
		rows = append(rows, row)
	}
	return rows
}
