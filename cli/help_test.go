package cli

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// testProgram is a program whose streams are pipes that the test reads.
func testProgram(t *testing.T) (p *program, stdout, stderr func() string) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("SKIFF_ROOT", t.TempDir()+"/store")
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	errs, err := os.CreateTemp(t.TempDir(), "err")
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close(); errs.Close() })
	read := func(f *os.File) func() string {
		return func() string {
			text, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	return &program{streams: &streams{In: in, Out: out, Err: errs}}, read(out), read(errs)
}

// walk visits every command of the whole tree.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		walk(child, visit)
	}
}

// Every command says in one line what it does, shows an example, completes its
// operands, and names all ways to call it.
func TestEveryCommandIsComplete(t *testing.T) {
	p, _, _ := testProgram(t)
	root := newRoot(p, nil)
	walk(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd == root || cmd.Name() == "help" {
			return
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short is %q", path, cmd.Short)
		}
		if cmd.Example == "" && !cmd.HasSubCommands() {
			t.Errorf("%s has no example", path)
		}
		if cmd.ValidArgsFunction == nil && cmd.Name() != "unshare" {
			t.Errorf("%s does not complete", path)
		}
		if cmd.Args == nil || cmd.RunE == nil {
			t.Errorf("%s lacks Args or RunE", path)
		}
		for _, alias := range strings.Split(cmd.Annotations["aliases"], ", ") {
			if alias == "" {
				continue
			}
			found, rest, err := root.Find(strings.Fields(alias)[1:])
			if err != nil || len(rest) > 0 || found.Short != cmd.Short {
				t.Errorf("%s: alias %q leads to %q", path, alias, found.CommandPath())
			}
		}
	})
}

// No example may wrap at 100 columns, and each begins with skiff or pipes into it.
func TestExamplesAreRealCommands(t *testing.T) {
	p, _, _ := testProgram(t)
	root := newRoot(p, nil)
	walk(root, func(cmd *cobra.Command) {
		for _, line := range strings.Split(cmd.Example, "\n") {
			if line == "" {
				continue
			}
			if len(line) > 100 {
				t.Errorf("%s: example is %d wide: %s", cmd.CommandPath(), len(line), line)
			}
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "skiff ") {
				t.Errorf("%s: example %q", cmd.CommandPath(), line)
			}
			_, call, _ := strings.Cut(line, "skiff ")
			words := strings.Fields(call)
			if words[0] == "-D" {
				words = words[1:]
			}
			found, _, err := root.Find(words)
			if err != nil || found == root {
				t.Errorf("%s: example %q names no command", cmd.CommandPath(), line)
			}
		}
	})
}

// A command that args name is made alone, and is the same as in the whole tree.
func TestRootMakesOnlyWhatIsNamed(t *testing.T) {
	p, _, _ := testProgram(t)
	for _, v := range verbs() {
		if v.name == "completion" {
			continue
		}
		root := newRoot(p, []string{"-D", "--root", "/x", v.name, "--help"})
		if names := names(root); !slices.Equal(names, []string{v.name}) {
			t.Errorf("%s: made %v", v.name, names)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"help", "run"}, {"__complete", "r"}, {"rn"}, {"completion", "bash"}} {
		if got := len(newRoot(p, args).Commands()); got < len(verbs()) {
			t.Errorf("%v: made %d commands", args, got)
		}
	}
}

func names(cmd *cobra.Command) (names []string) {
	for _, child := range cmd.Commands() {
		names = append(names, child.Name())
	}
	return names
}

// What a terminal of 80 columns shows of a command, whole.
func TestHelpLayout(t *testing.T) {
	p, stdout, _ := testProgram(t)
	if code := p.main([]string{"stop", "--help"}); code != 0 {
		t.Fatal(code)
	}
	want := `Usage:  skiff stop [OPTIONS] CONTAINER [CONTAINER...]

Stop one or more running containers

Aliases:
  skiff container stop, skiff stop

Options:
  -a, --all             Stop all running containers
      --cidfile list    Read the container ID from the file
  -f, --filter filter   Take the containers that meet the conditions
  -i, --ignore          Ignore containers that are missing
  -l, --latest          Take the container that was created last
  -s, --signal string   Signal to send to the container
  -t, --timeout int     Seconds to wait before killing the container

Examples:
  skiff stop web
  skiff stop -t 60 database     a minute instead of ten seconds before SIGKILL
  skiff stop --all
`
	if stdout() != want {
		t.Errorf("got:\n%s", stdout())
	}
}

// flagLine is a flag as docker's help has it: shorthand, name, kind, usage.
func flagLine(f *pflag.Flag) string {
	kind, usage := pflag.UnquoteUsage(f)
	var b bytes.Buffer
	if f.Shorthand != "" {
		b.WriteString("-" + f.Shorthand + ", ")
	}
	b.WriteString("--" + f.Name)
	if kind != "" {
		b.WriteString(" " + kind)
	}
	return b.String() + ": " + strings.Join(strings.Fields(usage), " ")
}
