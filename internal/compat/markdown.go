package compat

import (
	"bytes"
	"fmt"
	"strings"
)

const introduction = `# skiff beside docker and podman

What follows is made from the help of docker 28 and podman 4.3 and from skiff's own command line, by
` + "`make docs`" + `; a test fails when it is no longer true. A flag that skiff cannot serve is known to it, and refused with the
reason given here: none is accepted and passed over.

- **yes**: skiff has it, and it does what it does there.
- **differs**: skiff has it, and it does something else, as told.
- **refused**: skiff knows it and says why it cannot be.
- **not yet**: it comes with a later part. **no**: it does not come.

A program that calls docker need not know: ` + "`alias docker=skiff`" + ` is how far this goes.
`

// Markdown is docs/compat.md.
func Markdown(docker, podman *Table) []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	docker.write(&b, "docker 28")
	podman.write(&b, "podman's container commands")
	return b.Bytes()
}

// write writes the table of commands, then that of each command's flags.
func (t *Table) write(b *bytes.Buffer, title string) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| command | skiff | |\n|---|---|---|\n", title, t.count())
	for _, r := range t.Rows {
		word, reason := words(r.Verdict.Note)
		if r.SameAs != "" && reason == "" {
			reason = "as `" + r.SameAs + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", t.name(r.Path), word, reason)
	}
	for _, r := range t.Rows {
		if r.SameAs == "" && len(r.Flags) > 0 {
			t.writeFlags(b, &r)
		}
	}
}

func (t *Table) name(path string) string { return strings.TrimSpace(t.Program + " " + path) }

func (t *Table) writeFlags(b *bytes.Buffer, r *Row) {
	fmt.Fprintf(b, "\n### %s\n\n| flag | skiff | |\n|---|---|---|\n", t.name(r.Path))
	var plain []string
	for _, v := range r.Flags {
		if v.Kind == "" {
			plain = append(plain, "`--"+v.Flag+"`")
		}
	}
	if len(plain) > 0 {
		fmt.Fprintf(b, "| %s | yes | |\n", strings.Join(plain, " "))
	}
	for _, v := range r.Flags {
		if v.Kind != "" {
			word, reason := words(v.Note)
			fmt.Fprintf(b, "| `--%s` | %s | %s |\n", v.Flag, word, reason)
		}
	}
}

// words are a note as the table has it.
func words(n Note) (word, reason string) {
	if n.Kind == "" {
		return "yes", ""
	}
	return n.Kind, strings.ReplaceAll(n.Reason, "|", "\\|")
}

// count says how many of the commands and flags are there.
func (t *Table) count() string {
	commands, flags := map[string]int{}, map[string]int{}
	for _, r := range t.Rows {
		word, _ := words(r.Verdict.Note)
		commands[word]++
		if r.SameAs != "" {
			continue
		}
		for _, v := range r.Flags {
			word, _ := words(v.Note)
			flags[word]++
		}
	}
	return "Commands: " + tally(commands) + ".\nFlags of those that are there: " + tally(flags) + "."
}

func tally(n map[string]int) string {
	var all []string
	for _, word := range []string{"yes", Differs, Refused, NotYet, No} {
		if n[word] > 0 {
			all = append(all, fmt.Sprintf("%d %s", n[word], word))
		}
	}
	return strings.Join(all, ", ")
}
