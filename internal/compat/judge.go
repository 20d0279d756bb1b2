package compat

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Verdict is what is to be said of a command or flag: Kind is "" where skiff has it.
type Verdict struct {
	Note
	Flag string // its name, "" for the command itself
}

// Row is a command with all that is to be said of it.
type Row struct {
	Command
	Verdict Verdict
	Flags   []Verdict
}

// Table is a program's commands, each judged.
type Table struct {
	Program string
	Rows    []Row
}

// judge compares a program's commands with skiff's. Problems are what is unknown, and
// notes that are not, or no longer, true.
type judge struct {
	root     *cobra.Command
	notes    Notes
	used     map[string]bool
	problems []string
}

// Compare judges docker's and podman's commands by skiff's. Anything unknown on
// either side is an error.
func Compare(root *cobra.Command) (docker, podman *Table, err error) {
	notes, err := ReadNotes()
	if err != nil {
		return nil, nil, err
	}
	j := &judge{root: root, notes: notes, used: map[string]bool{}}
	docker = j.table("docker", Docker())
	podman = j.table("podman", PodmanContainers())
	j.own()
	for _, subject := range slices.Sorted(maps.Keys(notes)) {
		if !j.used[subject] {
			j.problem("notes.txt speaks of %q, which nobody has", subject)
		}
	}
	if len(j.problems) > 0 {
		return nil, nil, fmt.Errorf("%d commands or flags are not told of as they are:\n%s", len(j.problems), strings.Join(j.problems, "\n"))
	}
	return docker, podman, nil
}

func (j *judge) problem(format string, args ...any) {
	j.problems = append(j.problems, fmt.Sprintf(format, args...))
}

func (j *judge) table(program string, commands []Command) *Table {
	t := &Table{Program: program}
	for _, c := range commands {
		row := Row{Command: c}
		note, subject, noted := j.notes.command(program, c.Path)
		if !noted && c.SameAs != "" {
			note, subject, noted = j.notes.command(program, c.SameAs)
		}
		cmd := j.find(c.Path)
		switch {
		case noted && (note.Kind == NotYet || note.Kind == No):
			j.used[subject] = true
			if cmd != nil {
				j.problem("notes.txt says %q is missing, and skiff has %q", subject, cmd.CommandPath())
			}
			row.Verdict.Note = note
		case cmd == nil:
			j.problem("%s %s: skiff has no such command, and notes.txt says nothing", program, c.Path)
		default:
			if noted && program+" "+c.Path == subject {
				j.used[subject] = true
				row.Verdict.Note = note
			}
			if c.SameAs == "" { // else one constructor serves both
				row.Flags = j.flags(program, c, cmd)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// find returns skiff's command of a path, nil where there is none. Commands of podman
// containers may be had by their long name only.
func (j *judge) find(path string) *cobra.Command {
	for _, path := range []string{path, "container " + path} {
		if cmd, rest, err := j.root.Find(strings.Fields(path)); err == nil && len(rest) == 0 {
			return cmd
		}
	}
	return nil
}

func (j *judge) flags(program string, c Command, cmd *cobra.Command) []Verdict {
	var all []Verdict
	for _, f := range c.Flags {
		if f.Name == "help" {
			continue
		}
		v := Verdict{Flag: f.Name}
		note, subject, noted := j.notes.flag(program, c.Path, f.Name)
		have := lookup(cmd, f.Name)
		missing := noted && (note.Kind == NotYet || note.Kind == No)
		switch {
		case have == nil && !missing:
			j.problem("%s %s --%s: skiff has no such flag, and notes.txt says nothing", program, c.Path, f.Name)
		case have != nil && missing && !strings.Contains(subject, " * "):
			j.problem("notes.txt says %q is missing, and skiff has it", subject)
		case have != nil && refusal(have) != "":
			v.Note = Note{Refused, refusal(have)}
		}
		if noted && v.Kind == "" && (have == nil || note.Kind == Differs || note.Kind == Refused) {
			v.Note = note
		}
		if noted {
			j.used[subject] = true
		}
		all = append(all, v)
	}
	return all
}

// lookup finds a flag of a command, or one that stands before all commands.
func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

// refusal is why a flag is refused, empty for one that is not.
func refusal(f *pflag.Flag) string {
	if r, ok := f.Value.(interface{ Reason() string }); ok {
		return r.Reason()
	}
	return ""
}

// own makes sure that each command and flag of skiff's is docker's, podman's, or
// said to be its own.
func (j *judge) own() {
	known := map[string]bool{}
	for _, list := range [][]Command{Docker(), Podman()} {
		for _, c := range list {
			// A management command's form and the short one have the same flags.
			for _, path := range []string{c.Path, strings.TrimPrefix(c.Path, "container "), "container " + c.Path} {
				known[path] = true
				for _, f := range c.Flags {
					known[path+" --"+f.Name] = true
				}
			}
		}
	}
	j.ownBelow(j.root, known)
}

func (j *judge) ownBelow(cmd *cobra.Command, known map[string]bool) {
	path := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), j.root.Name()), " ")
	if note, subject, ok := j.notes.command("skiff", path); ok && note.Kind == Own {
		j.used[subject] = true
		return
	}
	if !known[path] && cmd.Name() != "help" {
		j.problem("skiff %s: neither docker nor podman has it, and notes.txt does not say that it is skiff's own", path)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		_, subject, noted := j.notes.flag("skiff", path, f.Name)
		switch {
		case f.Hidden && refusal(f) == "": // another name for a flag that is told of
		case noted:
			j.used[subject] = true
		case f.Name != "help" && !known[path+" --"+f.Name]:
			j.problem("skiff %s --%s: neither docker nor podman has it, and notes.txt does not say that it is skiff's own", path, f.Name)
		}
	})
	for _, child := range cmd.Commands() {
		j.ownBelow(child, known)
	}
}
