package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/compat"
	"github.com/spf13/pflag"
)

// skiff's own wording is that of docker 28 where docker has the command and the flag,
// but for what ownWords lists. What podman has beside it may be said in other words.
func TestWordsAreDockers(t *testing.T) {
	p, _, _ := testProgram(t)
	root := newRoot(p, nil)
	podmans := map[string]bool{}
	for _, c := range compat.Podman() {
		for _, f := range c.Flags {
			podmans[f.Name] = true
		}
	}
	for _, docker := range compat.Docker() {
		cmd, rest, err := root.Find(strings.Fields(docker.Path))
		if err != nil || len(rest) > 0 || cmd == root {
			continue // what is missing is told of in docs/compat.md
		}
		t.Run(docker.Path, func(t *testing.T) {
			own := ownWords()
			usage := "skiff " + docker.Usage
			if !slices.Contains(own, cmd.CommandPath()) && !cmd.HasSubCommands() && docker.SameAs == "" && (cmd.UseLine() != usage || cmd.Short != docker.Short) {
				t.Errorf("got %q %q, docker has %q %q", cmd.UseLine(), cmd.Short, usage, docker.Short)
			}
			lines, names := map[string]bool{}, map[string]bool{}
			for _, f := range docker.Flags {
				lines[f.Line], names[f.Name] = true, true
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				line := flagLine(f)
				if f.Hidden || lines[line] || !names[f.Name] && podmans[f.Name] || slices.Contains(own, cmd.Name()+" --"+f.Name) || slices.Contains(own, "--"+f.Name) {
					return
				}
				t.Errorf("docker does not have %q", line)
			})
		})
	}
}

// ownWords are the commands and flags whose wording is skiff's own.
func ownWords() []string {
	return []string{
		"skiff inspect", "skiff version", "skiff login", "skiff logout", "skiff events", "skiff system df", // speak of Docker, or of its daemon
		"skiff cp", "skiff diff", // two lines of usage; images as well, as podman has it
		"skiff secret create", "skiff secret rm", "--showsecret", // podman's
		"--tls-verify", "--progress", "--authfile", // podman's and buildkit's
		"--stream", "create --ignore", "connect --mac-address", "rm --force", // podman's, or with its meaning beside docker's
		"images --all", "ls --all", "create --pull", // docker's has a slip of the pen
		"--strict-limits",                                              // skiff's alone
		"--cgroupns", "--env-merge", "--no-hostname", "--cdi-spec-dir", // docker's speaks of its daemon; newer podman's
	}
}
