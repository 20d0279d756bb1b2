package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The scripts in completions/ are what `skiff completion` prints. To make them
// anew: SKIFF_UPDATE=1 go test ./cli -run TestCompletionScripts
func TestCompletionScripts(t *testing.T) {
	for shell, name := range map[string]string{"bash": "skiff.bash", "fish": "skiff.fish", "powershell": "skiff.ps1", "zsh": "_skiff"} {
		p, _, _ := testProgram(t)
		var script bytes.Buffer
		if err := writeCompletion(newRoot(p, nil), shell, &script); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "completions", name)
		if os.Getenv("SKIFF_UPDATE") != "" {
			if err := os.WriteFile(path, script.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(have, script.Bytes()) {
			t.Errorf("%s is not what skiff completion %s prints (%v): SKIFF_UPDATE=1 go test ./cli -run TestCompletionScripts", path, shell, err)
		}
	}
}

// What shells are offered; the script that asks is cobra's.
func TestCompletionWords(t *testing.T) {
	t.Setenv("SKIFF_TEST_VARIABLE", "1")
	for _, c := range []struct {
		words []string
		want  []string
		none  []string
	}{
		{[]string{""}, []string{"run", "ps", "container", "unshare"}, []string{"hello"}},
		{[]string{"ima"}, []string{"image", "images"}, []string{"run"}},
		{[]string{"image", ""}, []string{"ls", "rm", "pull"}, []string{"run"}},
		{[]string{"run", "--pu"}, []string{"--pull"}, nil},
		{[]string{"run", "--pull", ""}, []string{"always", "missing", "never", "newer"}, nil},
		{[]string{"run", "--network", ""}, []string{"host", "none"}, nil},
		{[]string{"run", "--cap-add", "NET_"}, []string{"NET_ADMIN", "NET_RAW"}, nil},
		{[]string{"run", "-e", "SKIFF_TEST"}, []string{"SKIFF_TEST_VARIABLE"}, nil},
		{[]string{"kill", "--signal", ""}, []string{"HUP", "KILL", "USR1"}, []string{"SIGHUP"}},
		{[]string{"ps", "--format", ""}, []string{"json", "table", "{{.Names}}"}, nil},
		{[]string{"ps", "--filter", ""}, []string{"status=", "name="}, nil},
		{[]string{"ps", "--filter", "status="}, []string{"status=running", "status=exited"}, nil},
		{[]string{"inspect", "--type", ""}, []string{"container", "image"}, nil},
		{[]string{"pull", "--progress", ""}, []string{"plain", "json"}, nil},
		{[]string{"completion", ""}, []string{"bash", "fish", "powershell", "zsh"}, nil},
		{[]string{"--root", "/nonexistent/store", "stop", ""}, nil, []string{"/"}},
	} {
		p, stdout, _ := testProgram(t)
		if code := p.main(append([]string{"__complete"}, c.words...)); code != 0 {
			t.Errorf("%q: exit code %d", c.words, code)
		}
		var offered []string
		for _, line := range strings.Split(stdout(), "\n") {
			word, _, _ := strings.Cut(line, "\t")
			offered = append(offered, word)
		}
		text := "\n" + strings.Join(offered, "\n") + "\n"
		for _, want := range c.want {
			if !strings.Contains(text, "\n"+want+"\n") {
				t.Errorf("%q: %q is not offered: %q", c.words, want, offered)
			}
		}
		for _, none := range c.none {
			if strings.Contains(text, "\n"+none) {
				t.Errorf("%q: %q is offered: %q", c.words, none, offered)
			}
		}
	}
}
