package hello

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Every line of the box ends in the same column, whatever the terminal's width.
func TestPretty(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{0, 20, 44, 60, 80, 200} {
		var b bytes.Buffer
		if err := Show(&b, Options{Pretty: true, Width: columns}); err != nil {
			t.Fatal(err)
		}
		want := width(columns)
		for line := range strings.Lines(escapes.ReplaceAllString(b.String(), "")) {
			if got := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); got != want {
				t.Errorf("in %d columns a line has %d, want %d: %q", columns, got, want, line)
			}
		}
	}
}

// A pipe gets one fact a line and no colours.
func TestPlain(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Show(&b, Options{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("there are escape sequences")
	}
	for _, label := range []string{"user", "id map", "root", "capabilities", "seccomp", "network", "limits", "kernel"} {
		if !strings.Contains(b.String(), "\n"+label+": ") {
			t.Errorf("no line about %q in\n%s", label, b.String())
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", ""}, {"one", "one"}, {"one two", "one|two"}, {"a b c", "a b c"}, {"abcdefghij", "abcde|fghij"}, {"a abcdefg", "a|abcde|fg"},
	} {
		if got := strings.Join(wrap(test.text, 5), "|"); got != test.want {
			t.Errorf("wrap(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for hex, want := range map[string]string{"0": "none", "1ffffffffff": "all, over its own namespaces", "21": "2 of 41: chown kill", "x": ""} {
		if got := capabilities(hex); got != want {
			t.Errorf("capabilities(%q) = %q, want %q", hex, got, want)
		}
	}
}

// A container that is started a second time has an old variable, which would tell of hours.
func TestStartedIn(t *testing.T) {
	now := time.Unix(1000, 0)
	for value, want := range map[string]string{"": "", "x": "", "999900000000": "100.0 ms, from the command to these words", "1": "", "1001000000000": ""} {
		t.Setenv(StartedVariable, value)
		if got := startedIn(now); got != want {
			t.Errorf("with %q it started in %q, want %q", value, got, want)
		}
	}
}
