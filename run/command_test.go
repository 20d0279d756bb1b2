package run

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// How ENTRYPOINT, CMD, --entrypoint and arguments join (Dockerfile reference,
// "Understand how CMD and ENTRYPOINT interact"; docker run --entrypoint).
func TestJoinCommand(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for _, test := range []struct {
		name       string
		image      store.ImageConfig
		entrypoint *string
		command    []string
		want       string // "" is an error
	}{
		{"CMD alone", store.ImageConfig{Cmd: []string{"sh"}}, nil, nil, "sh"},
		{"arguments replace CMD", store.ImageConfig{Cmd: []string{"sh"}}, nil, []string{"ls", "-l"}, "ls -l"},
		{"both join", store.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}, nil, nil, "e c"},
		{"arguments follow ENTRYPOINT", store.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}, nil, []string{"x"}, "e x"},
		{"--entrypoint drops CMD", store.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}, text("n"), nil, "n"},
		{"--entrypoint keeps arguments", store.ImageConfig{Cmd: []string{"c"}}, text("n"), []string{"x"}, "n x"},
		{"--entrypoint '' clears it", store.ImageConfig{Entrypoint: []string{"e"}}, text(""), []string{"x"}, "x"},
		{"--entrypoint '' drops CMD as well", store.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}, text(""), nil, ""},
		{"nothing at all", store.ImageConfig{}, nil, nil, ""},
	} {
		entry, cmd, err := joinCommand(test.entrypoint, test.command, &test.image)
		if test.want == "" {
			if !errors.Is(err, errNoCommand) {
				t.Errorf("%s: %q %q, %v", test.name, entry, cmd, err)
			}
			continue
		}
		if got := strings.Join(slices.Concat(entry, cmd), " "); got != test.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

func TestWorkdir(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ asked, image, want string }{
		{"", "", "/"}, {"", "/app", "/app"}, {"", "app", "/app"}, {"/x/../y/", "/app", "/y"},
	} {
		if got, err := joinWorkdir(test.asked, test.image); got != test.want || err != nil {
			t.Errorf("joinWorkdir(%q, %q) = %q, %v; want %q", test.asked, test.image, got, err, test.want)
		}
	}
	if _, err := joinWorkdir("relative", "/"); err == nil {
		t.Error("a relative working directory is taken")
	}
}

func TestHostname(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0123456789abcdef", 4)
	p := &plan{record: &store.Record{ID: id}, network: &netns.Request{Mode: netns.Bridge}}
	if got, err := p.hostname(&CreateOptions{}); got != "0123456789ab" || err != nil {
		t.Errorf("the hostname is %q, %v", got, err)
	}
	p.network.Mode = netns.Host
	if got, err := p.hostname(&CreateOptions{Hostname: "mine"}); got != "mine" || err != nil {
		t.Errorf("the hostname is %q, %v", got, err)
	}
	for _, bad := range []string{"a b", "a\nb", strings.Repeat("x", 65), "-x", "a/b", "a#b"} {
		if checkHostname(bad) == nil {
			t.Errorf("hostname %q is taken", bad)
		}
	}
}

func TestParseSignal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"9": 9, "KILL": 9, "SIGKILL": 9, "sigterm": 15, "hup": 1, "RTMIN": 34, "RTMIN+3": 37, "SIGRTMAX-1": 63, "64": 64} {
		if got, err := ParseSignal(text); got != want || err != nil {
			t.Errorf("ParseSignal(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "65", "-1", "NOPE", "RTMIN+99", "RTMAX+1", "SIG"} {
		if n, err := ParseSignal(text); err == nil {
			t.Errorf("ParseSignal(%q) = %d", text, n)
		}
	}
}

func TestRandomNames(t *testing.T) {
	t.Parallel()
	for range 100 {
		if name := randomName(); !store.ValidName(name) || strings.Count(name, "_") != 1 {
			t.Errorf("name %q", name)
		}
	}
	for _, words := range [][]string{adjectives[:], nouns[:]} {
		seen := map[string]bool{}
		for _, word := range words {
			if seen[word] {
				t.Errorf("%q stands twice", word)
			}
			seen[word] = true
		}
	}
}
