// Command record asks a program for the help of all its commands and writes them as
// a list of commands and flags:
//
//	record docker >internal/compat/docker.txt
//	record podman container >internal/compat/podman.txt
//
// Commands that merely are others under a longer name are told as such. Names of
// folders, which differ from machine to machine, stand as defaults only and are left out.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: record PROGRAM [COMMAND…]")
		os.Exit(2)
	}
	r := recorder{seen: map[string]string{}}
	if err := r.visit(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

// recorder knows the flags of the commands that were written.
type recorder struct{ seen map[string]string }

var (
	commandLine  = regexp.MustCompile(`^  ([a-z][a-z-]*)\*? +\S`)
	flagLine     = regexp.MustCompile(`^ +((?:-\w, )?--[a-z][a-z0-9-]*(?: [^ ]+)?)(?:   *(.*))?$`)
	defaultValue = regexp.MustCompile(` \(default (?:"[^"]*"|true|false|-?[0-9.]+|\[\]|map\[\])\)$`)
)

// visit writes a command and those below it: a program's short forms come first.
func (r *recorder) visit(path []string) error {
	out, err := exec.Command(path[0], append(slices.Clone(path[1:]), "--help")...).Output()
	if err != nil {
		return fmt.Errorf("asking %q for help: %w", path, err)
	}
	h := parse(string(out))
	head := h.usage + ": " + h.short
	flags := strings.Join(h.flags, "\n")
	key := path[len(path)-1] + "\n" + h.short + "\n" + flags
	if first, ok := r.seen[key]; ok && len(h.commands) == 0 && len(path) > 2 {
		fmt.Printf("# %s = %s\n", strings.Join(path, " "), first)
		return nil
	}
	r.seen[key] = strings.Join(path, " ")
	fmt.Printf("# %s\n", head)
	if flags != "" {
		fmt.Println(flags)
	}
	for _, short := range []bool{true, false} {
		for _, name := range h.commands {
			if isGroup := slices.Contains(h.groups, name); isGroup == short || name == "help" {
				continue
			}
			if err := r.visit(append(slices.Clone(path), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// paragraph is what follows the first empty line, up to the next.
func paragraph(lines []string) string {
	first := slices.Index(lines, "") + 1
	n := slices.Index(lines[first:], "")
	return strings.Join(lines[first:first+max(n, 0)], " ")
}

// help is what a program says of one command.
type help struct {
	usage, short     string
	flags            []string
	commands, groups []string
}

func parse(text string) (h help) {
	section := ""
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "Usage:  "): // docker
			h.usage, h.short = strings.TrimPrefix(line, "Usage:  "), paragraph(lines[i:])
		case line == "Usage:": // podman
			h.usage, h.short = strings.TrimSpace(lines[i+1]), lines[0]
		case line != "" && line[0] != ' ' && strings.HasSuffix(line, ":"):
			section = line
		case line != "" && line[0] != ' ':
			section = ""
		case strings.HasSuffix(section, "Commands:"):
			if m := commandLine.FindStringSubmatch(line); m != nil {
				h.commands = append(h.commands, m[1])
				if section == "Management Commands:" || section == "Swarm Commands:" {
					h.groups = append(h.groups, m[1])
				}
			}
		case strings.HasSuffix(section, "Options:"):
			if m := flagLine.FindStringSubmatch(line); m != nil {
				h.flags = append(h.flags, m[1]+": "+strings.TrimSpace(m[2]))
			} else if n := len(h.flags); n > 0 && strings.TrimSpace(line) != "" {
				h.flags[n-1] += " " + strings.Join(strings.Fields(line), " ")
			}
		}
	}
	for i, f := range h.flags {
		h.flags[i] = strings.TrimSpace(defaultValue.ReplaceAllString(f, ""))
	}
	return h
}
