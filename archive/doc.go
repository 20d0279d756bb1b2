// Package archive moves files into containers and out of them, and compares their
// trees with their images.
//
// A tree is a directory below which every path is resolved by the kernel, as if it
// were "/" (openat2(2), RESOLVE_IN_ROOT): the container may change it all the while,
// and whatever it writes leads nowhere but into itself. What is moved is a tar
// stream between two processes: one is the command, which reads and writes the
// host's files as its user, the other the stage "skiff-archive", which is root of the
// user namespace U and has the container's root as its own.
package archive
