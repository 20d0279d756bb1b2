package compat

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed notes.txt
var notesText string

// Kinds of notes.
const (
	NotYet  = "not yet" // will come, with the part that the reason names
	No      = "no"      // will not come
	Differs = "differs" // is there, and does something else in part
	Refused = "refused" // is known, and refused with the reason; flags that always are tell so themselves
	Own     = "own"     // skiff's, of neither docker nor podman
)

// Note is what is to be said of a command or flag.
type Note struct {
	Kind   string
	Reason string
}

// Notes are the notes by what they are about: "docker run --gpus", "docker swarm",
// "podman * --latest", "skiff hello". A command's note holds for all below it.
type Notes map[string]Note

// ReadNotes reads notes.txt: "SUBJECT: KIND: REASON" a line.
func ReadNotes() (Notes, error) {
	notes := Notes{}
	for i, line := range strings.Split(notesText, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.SplitN(line, ": ", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("notes.txt:%d: not SUBJECT: KIND: REASON", i+1)
		}
		switch parts[1] {
		case NotYet, No, Differs, Refused, Own:
		default:
			return nil, fmt.Errorf("notes.txt:%d: kind %q is unknown", i+1, parts[1])
		}
		if _, twice := notes[parts[0]]; twice {
			return nil, fmt.Errorf("notes.txt:%d: %q has a note already", i+1, parts[0])
		}
		notes[parts[0]] = Note{parts[1], parts[2]}
	}
	return notes, nil
}

// command finds the note of a command, or of one above it.
func (n Notes) command(program, path string) (note Note, subject string, ok bool) {
	for words := strings.Fields(path); len(words) > 0; words = words[:len(words)-1] {
		subject = program + " " + strings.Join(words, " ")
		if note, ok = n[subject]; ok {
			return note, subject, true
		}
	}
	return Note{}, "", false
}

// flag finds the note of a flag: the command's own, else docker's of the same command,
// as skiff's is the same for both, else that of all commands.
func (n Notes) flag(program, path, flag string) (note Note, subject string, ok bool) {
	prefix := program + " "
	if path != "" {
		prefix += path + " "
	}
	for _, subject := range []string{prefix + "--" + flag, "docker " + strings.TrimPrefix(prefix, "podman ") + "--" + flag, program + " * --" + flag} {
		if note, ok := n[subject]; ok {
			return note, subject, true
		}
	}
	return Note{}, "", false
}
