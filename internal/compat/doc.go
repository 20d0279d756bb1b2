// Package compat compares skiff's command line with docker's and podman's: every
// command and flag of theirs is had, refused with a reason, differs in words, or is
// said to be missing and why. docs/compat.md is its result, which a test keeps true.
//
// docker.txt and podman.txt are facts, recorded from the programs' own help by
// record; notes.txt is what is to be said of them.
package compat

//go:generate go run ./write ../../docs/compat.md
