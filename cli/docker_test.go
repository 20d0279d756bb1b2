package cli

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// testdata/docker-flags.txt lists what `docker COMMAND --help` of docker 28 says of
// every command that skiff has: a line "# USAGE: SHORT", then a line a flag.
// skiff's own wording is the same, but for what ours lists here.
func TestWordsAreDockers(t *testing.T) {
	text, err := os.ReadFile("testdata/docker-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	p, _, _ := testProgram(t)
	root := newRoot(p, nil)
	for _, section := range strings.Split("\n"+string(text), "\n# ")[1:] {
		head, flags, _ := strings.Cut(section, "\n")
		usage, short, _ := strings.Cut(head, ": ")
		words := strings.Fields(usage)
		path := words[1:2]
		if words[1] == "container" || words[1] == "image" || words[1] == "network" {
			path = words[1:3]
		}
		t.Run(strings.Join(path, " "), func(t *testing.T) {
			cmd, rest, err := root.Find(path)
			if err != nil || len(rest) > 0 {
				t.Fatalf("no such command: %v", err)
			}
			own := ownWords()
			if !slices.Contains(own, cmd.CommandPath()) && (cmd.UseLine() != usage || cmd.Short != short) {
				t.Errorf("got %q %q, docker has %q %q", cmd.UseLine(), cmd.Short, usage, short)
			}
			dockers := strings.Split(strings.TrimSpace(flags), "\n")
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				line := flagLine(f)
				if f.Hidden || slices.Contains(dockers, line) || slices.Contains(own, cmd.Name()+" --"+f.Name) || slices.Contains(own, "--"+f.Name) {
					return
				}
				t.Errorf("docker does not have %q", line)
			})
		})
	}
}

// podmanWords are the flags that skiff has from podman, beside docker's.
func podmanWords() (words []string) {
	for command, flags := range map[string]string{
		"attach":  "latest",
		"inspect": "latest",
		"kill":    "all cidfile latest",
		"logs":    "color latest names",
		"ls":      "no-heading noheading sort watch",
		"port":    "all latest",
		"ps":      "no-heading noheading sort watch",
		"restart": "all cidfile filter latest running",
		"rm":      "all cidfile depend filter ignore latest time",
		"start":   "all filter latest sig-proxy",
		"stop":    "all cidfile filter ignore latest",
		"top":     "latest",
		"wait":    "condition ignore interval latest",
	} {
		for flag := range strings.FieldsSeq(flags) {
			words = append(words, command+" --"+flag)
		}
	}
	return words
}

// ownWords are the commands and flags whose wording is skiff's own.
func ownWords() []string {
	return append(podmanWords(),
		"skiff inspect", "skiff version", "skiff login", "skiff logout", // speak of Docker, or of its daemon
		"--tls-verify", "--progress", "--authfile", // podman's and buildkit's
		"create --ignore", "connect --mac-address", "rm --force", // podman's, or with its meaning beside docker's
		"images --all", "ls --all", "create --pull", // docker's has a slip of the pen
	)
}
