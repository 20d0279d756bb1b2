package compat

import (
	"bufio"
	_ "embed"
	"strings"
)

//go:embed docker.txt
var dockerText string

//go:embed podman.txt
var podmanText string

// Command is a command of docker's or podman's.
type Command struct {
	Path   string // without the program: "container ls"; "" is the program itself
	Usage  string // "run [OPTIONS] IMAGE …"
	Short  string
	SameAs string // the path of the command that it is another name for, or empty
	Flags  []Flag
}

// Flag is a flag of a command.
type Flag struct {
	Name string
	Line string // "-a, --attach list: Attach to …"
}

// Docker are the commands of docker 28, in the order of its help.
func Docker() []Command { return parse(dockerText, "docker") }

// Podman are podman's commands.
func Podman() []Command { return parse(podmanText, "podman") }

// PodmanContainers are those of podman's commands that are about containers, each
// by its short name.
func PodmanContainers() []Command {
	var all []Command
	for _, c := range Podman() {
		if path, ok := strings.CutPrefix(c.Path, "container "); ok {
			c.Path, c.SameAs = path, ""
			all = append(all, c)
		}
	}
	return all
}

// parse reads what record has written.
func parse(text, program string) []Command {
	var all []Command
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		head, isHead := strings.CutPrefix(line, "# ")
		if !isHead {
			c := &all[len(all)-1]
			c.Flags = append(c.Flags, Flag{flagName(line), line})
			continue
		}
		head = strings.TrimPrefix(strings.TrimPrefix(head, program), " ")
		if path, same, ok := strings.Cut(head, " = "+program+" "); ok {
			all = append(all, Command{Path: path, SameAs: same})
			continue
		}
		usage, short, _ := strings.Cut(head, ": ")
		all = append(all, Command{Path: pathOf(usage), Usage: usage, Short: short})
	}
	for i, c := range all {
		if c.SameAs != "" {
			first := find(all, c.SameAs)
			all[i].Usage, all[i].Short, all[i].Flags = first.Usage, first.Short, first.Flags
		}
	}
	return all
}

// find returns the command with a path, which must be there.
func find(all []Command, path string) *Command {
	for i := range all {
		if all[i].Path == path {
			return &all[i]
		}
	}
	return nil
}

// pathOf are the first words of a usage line: commands are written small.
func pathOf(usage string) string {
	words := strings.Fields(usage)
	for i, w := range words {
		if strings.ToLower(w) != w || strings.ContainsAny(w, "[]|():=") || w == "-" {
			words = words[:i]
			break
		}
	}
	return strings.Join(words, " ")
}

// flagName is the long name in "-a, --attach list: Attach to …".
func flagName(line string) string {
	_, name, _ := strings.Cut(line, "--")
	return name[:strings.IndexAny(name+":", " :")]
}
