package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// A listing renders rows as Docker's --format does:
//
//	table             the command's own columns
//	table TEMPLATE    a heading and a line a row, tabs aligned
//	json              one JSON object a line
//	TEMPLATE          a line a row
type listing struct {
	format   string            // what --format or config.json said; "" is table
	standard string            // the command's own columns: a template
	headings map[string]string // heading of each field, for tables
	bare     bool              // without them
}

// uses tells whether the output needs a field, which may be dear to find out.
func (l *listing) uses(field string) bool {
	t := l.template()
	return strings.Contains(t, "."+field) || strings.Contains(strings.ReplaceAll(t, " ", ""), "json.}")
}

func (l *listing) isTable() bool { return l.format == "" || strings.HasPrefix(l.format, "table") }

func (l *listing) template() string {
	switch {
	case l.format == "" || l.format == "table":
		return l.standard
	case l.format == "json":
		return "{{json .}}"
	}
	return strings.Trim(strings.TrimPrefix(l.format, "table"), " ")
}

// write renders the rows.
func (l *listing) write(w io.Writer, rows []any) error {
	t, err := parseTemplate(l.template())
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	if l.isTable() && !l.bare {
		if err := l.heading(&lines, t); err != nil {
			return err
		}
	}
	for _, row := range rows {
		if err := t.Execute(&lines, row); err != nil {
			return fmt.Errorf("executing the template of --format: %w", err)
		}
		lines.WriteByte('\n')
	}
	if !l.isTable() {
		_, err := lines.WriteTo(w)
		return err
	}
	return align(w, lines.Bytes())
}

func (l *listing) heading(w *bytes.Buffer, t *template.Template) error {
	copied, err := t.Clone()
	if err != nil {
		return err
	}
	if err := copied.Funcs(headerFunctions()).Execute(w, headings(l.headings)); err != nil {
		return fmt.Errorf("executing the template of --format: %w", err)
	}
	w.WriteByte('\n')
	return nil
}

// align lays tab-separated cells out in columns, as Docker does: at least ten
// wide, three spaces between. The last cell of a line is not padded.
func align(w io.Writer, text []byte) error {
	var out bytes.Buffer
	tw := tabwriter.NewWriter(&out, 10, 1, 3, ' ', 0)
	if _, err := tw.Write(text); err != nil {
		return err
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := out.WriteTo(w)
	return err
}

// headings is what a table's template is executed with for its first line.
type headings map[string]string

// Label gives a heading to a column {{.Label "com.example.name"}}: NAME in Docker's way, "name".
func (headings) Label(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.NewReplacer("-", " ", "_", " ").Replace(last)
}

// cell makes text from outside fit into one cell of a table.
func cell(text string) string {
	if !strings.ContainsAny(text, "\t\n") {
		return text
	}
	return strings.NewReplacer("\t", " ", "\n", " ").Replace(text)
}

// ellipsis shortens text to n characters, the last of which is "…".
func ellipsis(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	if n <= 1 {
		return string(runes[:n])
	}
	return string(runes[:n-1]) + "…"
}

// shortID are the first twelve digits of an id or digest.
func shortID(id string) string {
	if _, digits, found := strings.Cut(id, ":"); found {
		id = digits
	}
	return id[:min(12, len(id))]
}
