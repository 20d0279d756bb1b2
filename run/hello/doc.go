// Package hello is the command inside the image skiff.local/hello: it shows what a
// container sees of itself.
package hello
