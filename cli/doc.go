// Package cli is the command line: one verb a file, and the terminal.
//
// A command parses, validates, makes one call to package run, and renders. Data
// goes to stdout, talk to stderr. All that came from outside (names, labels,
// errors of registries) is stripped of control characters before it reaches a
// terminal.
package cli
