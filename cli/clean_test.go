package cli

import (
	"bytes"
	"testing"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":               "plain\ttext\n",
		"\x1b[2J\x1b]0;owned\x07name": "[2J]0;ownedname",
		"a\rb\bc\x7f":                 "abc",
		"c1 \u009b31m red":            "c1 31m red",
		"turned \u202Egnp.exe\u2066":  "turned gnp.exe",
		"grüße 世界":                    "grüße 世界",
		"bad \xff utf-8 \x9b2J":       "bad \ufffd utf-8 \ufffd2J",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
		var b bytes.Buffer
		if n, err := (&cleanWriter{&b}).Write([]byte(in)); n != len(in) || err != nil || b.String() != want {
			t.Errorf("cleanWriter: %q, %d, %v", b.String(), n, err)
		}
	}
}
