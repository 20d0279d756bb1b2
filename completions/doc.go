// Package completions is what shells complete: the static scripts, one a shell,
// which this folder holds as files, and the words that change, such as the names
// of containers.
package completions
