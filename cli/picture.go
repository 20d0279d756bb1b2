package cli

import (
	"fmt"
	"os"
	"strings"
)

// picture is text on a terminal that is drawn again and again in its place. Each time
// it is one write, and nothing is cleared before it is written over, so that it does
// not flicker.
type picture struct {
	f       *os.File
	height  int // lines of the last drawing
	columns int // the terminal's width then
}

// begin hides the cursor; end shows it again.
func (p *picture) begin() { p.f.WriteString("\x1b[?25l") }
func (p *picture) end()   { p.f.WriteString("\x1b[?25h") }

// draw shows lines that are no wider than the terminal, as many as fit.
func (p *picture) draw(lines []string, columns, rows int) {
	if most := rows - 1; most > 1 && len(lines) > most {
		hidden := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("… and %d more", hidden))
	}
	var out strings.Builder
	switch {
	case p.columns != 0 && p.columns != columns: // what was drawn has been wrapped anew
		out.WriteString("\x1b[H\x1b[2J")
	case p.height > 0:
		fmt.Fprintf(&out, "\x1b[%dA\r", p.height)
	}
	for _, line := range lines {
		out.WriteString(line + "\x1b[K\r\n")
	}
	out.WriteString("\x1b[J") // what is left of a taller picture
	p.f.WriteString(out.String())
	p.height, p.columns = len(lines), columns
}
