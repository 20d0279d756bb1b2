package cli

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// meter is a figure of the live table: Docker's text, and what is drawn beside it.
type meter struct {
	text    string
	share   float64   // of what there is, 0 to 1, drawn as a bar; negative: none
	history []float64 // drawn as a line of small columns; nil: none
}

// meterColumns are the columns of the live table.
var meterColumns = [...]string{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}

// meters are a container's row.
func (f *figures) meters(whole bool) [len(meterColumns)]meter {
	r := f.row(whole)
	plain := func(text string) meter { return meter{text: clean(text), share: -1} }
	row := [...]meter{plain(r.ID), plain(r.Name), plain(r.CPUPerc), plain(r.MemUsage), plain(r.MemPerc), plain(r.NetIO), plain(r.BlockIO), plain(r.PIDs)}
	if !f.now.Running {
		return row
	}
	set := func(column int, share float64, history []float64) {
		if !strings.HasPrefix(row[column].text, unknown) {
			row[column].share, row[column].history = share, history
		}
	}
	set(2, last(f.cpu)/100/float64(max(f.now.OnlineCPUs, 1)), f.cpu)
	set(4, last(f.memory)/100, f.memory)
	set(5, -1, f.network)
	set(6, -1, f.disk)
	pids := -1.0
	if limit := f.now.PidsLimit; limit > 0 {
		pids = float64(f.now.Pids) / float64(limit)
	}
	set(7, pids, f.pids)
	return row
}

func last(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return values[len(values)-1]
}

// details are how much is drawn beside the figures, from the most to nothing.
var details = [...]struct{ bar, history int }{{10, 20}, {8, 12}, {6, 6}, {6, 0}, {0, 0}}

// meterLines is the live table with as much detail as the columns have room for.
func meterLines(found []*figures, columns int, whole bool) []string {
	rows := make([][len(meterColumns)]meter, len(found))
	for i, f := range found {
		rows[i] = f.meters(whole)
	}
	for _, d := range details {
		t := meterTable{rows: rows, bar: d.bar, history: d.history}
		if t.measure(); t.total <= columns {
			return t.lines()
		}
	}
	t := meterTable{rows: rows}
	t.measure()
	lines := t.lines() // nothing is drawn in them
	for i := range lines {
		lines[i] = ellipsis(lines[i], columns)
	}
	return lines
}

// meterTable lays rows out.
type meterTable struct {
	rows         [][len(meterColumns)]meter
	bar, history int // their widths; 0 is none
	text         [len(meterColumns)]int
	barred       [len(meterColumns)]bool
	traced       [len(meterColumns)]bool
	total        int
}

// measure finds the widths of columns.
func (t *meterTable) measure() {
	t.total = 0
	for c, heading := range meterColumns {
		t.text[c] = utf8.RuneCountInString(heading)
		for _, row := range t.rows {
			t.text[c] = max(t.text[c], utf8.RuneCountInString(row[c].text))
			t.barred[c] = t.barred[c] || t.bar > 0 && row[c].share >= 0
			t.traced[c] = t.traced[c] || t.history > 0 && row[c].history != nil
		}
		t.total += t.text[c] + t.beside(c)
	}
	t.total += 3 * (len(meterColumns) - 1)
}

// beside is the width of what is drawn in a column.
func (t *meterTable) beside(c int) (width int) {
	if t.barred[c] {
		width += 1 + t.bar
	}
	if t.traced[c] {
		width += 1 + t.history
	}
	return width
}

func (t *meterTable) lines() []string {
	var heading strings.Builder
	for c, text := range meterColumns {
		heading.WriteString(padded(text, t.text[c]+t.beside(c)))
		if c < len(meterColumns)-1 {
			heading.WriteString("   ")
		}
	}
	lines := []string{strings.TrimRight(heading.String(), " ")}
	for _, row := range t.rows {
		var line strings.Builder
		for c, m := range row {
			line.WriteString(padded(m.text, t.text[c]))
			if t.barred[c] {
				line.WriteString(" " + shareBar(m.share, t.bar))
			}
			if t.traced[c] {
				line.WriteString(" " + trace(m.history, t.history))
			}
			if c < len(row)-1 {
				line.WriteString("   ")
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// Colours of bars, by how much is used.
const (
	green  colour = 32
	yellow colour = 33
	grey   colour = 90
)

// shareBar is a bar of so many characters, each in eight steps.
func shareBar(share float64, width int) string {
	if share < 0 {
		return strings.Repeat(" ", width)
	}
	eighths := int(min(share, 1)*float64(width)*8 + 0.5)
	full := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	c := green
	switch {
	case share >= 0.9:
		c = red
	case share >= 0.7:
		c = yellow
	}
	return painted(c, full) + painted(grey, strings.Repeat("·", width-utf8.RuneCountInString(full)))
}

func painted(c colour, text string) string {
	if text == "" {
		return ""
	}
	return "\x1b[" + strconv.Itoa(int(c)) + "m" + text + "\x1b[0m"
}

// trace is the end of a history, each value a column of eight heights; the highest that
// is shown is the whole height, and nothing is no column.
func trace(history []float64, width int) string {
	if len(history) > width {
		history = history[len(history)-width:]
	}
	highest := 0.0
	if len(history) > 0 {
		highest = slices.Max(history)
	}
	steps := []rune("▁▂▃▄▅▆▇█")
	var text strings.Builder
	text.WriteString(strings.Repeat(" ", width-len(history)))
	for _, value := range history {
		switch {
		case value <= 0:
			text.WriteByte(' ')
		default:
			text.WriteRune(steps[min(int(value/highest*float64(len(steps))), len(steps)-1)])
		}
	}
	return painted(cyan, text.String())
}

// movable tells whether the terminal can draw over what it shows.
func movable() bool { return os.Getenv("TERM") != "dumb" }

// drawable tells whether the locale has the characters of bars (locale(7)).
func drawable() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}
