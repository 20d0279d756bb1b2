// Package program provides the program that runs as the shim and as the stages of
// the runtime: a small one, that links the packages conmon, netns/client and what
// lies below them only.
//
// A release embeds it (build tag skiff_embed, made by go generate) and writes it
// once into the store. A plain go build leaves it out: the shim is then the same
// code, reached by executing the main program under another argv[0].
package program

//go:generate go run ./embed
