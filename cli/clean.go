package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// clean takes out of text what a terminal would obey: control characters but for
// tab and newline, and the marks that turn the direction of writing (CVE-2021-42574).
func clean(text string) string {
	if strings.IndexFunc(text, hostile) < 0 && utf8.ValidString(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if hostile(r) {
			return -1
		}
		return r
	}, text)
}

func hostile(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL and C1
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
		return true
	}
	return false
}

// cleanWriter writes to a terminal what [clean] leaves. A write must not end
// inside of a character.
type cleanWriter struct{ w io.Writer }

func (c *cleanWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(c.w, clean(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
