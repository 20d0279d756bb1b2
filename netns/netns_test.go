package netns

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Mode{"": Host, "default": Host, "host": Host, "none": None} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"bridge", "container:x", "mynet", "Host"} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Parse(%q) gives error %v", text, err)
		}
	}
}

// The name of the container can always be resolved, and only one line says so.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, m := range []Mode{None, Host} {
		text := string(Hosts(m, "box"))
		if strings.Count(text, "box\n") != 1 {
			t.Errorf("%s: /etc/hosts reads %q", m, text)
		}
		if !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: the last line is open", m)
		}
	}
	if text := string(Hosts(None, "localhost")); strings.Count(text, "127.0.0.1") != 1 {
		t.Errorf("localhost is named twice: %q", text)
	}
}
