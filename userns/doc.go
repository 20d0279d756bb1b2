// Package userns knows the user namespace: the subordinate ids of a user, the
// mapping made of them, and the fork that creates or joins namespaces without cgo.
//
// It stands at the bottom: it imports golang.org/x/sys and nothing of skiff.
package userns
