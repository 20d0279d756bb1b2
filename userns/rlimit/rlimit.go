// Package rlimit remembers the limit on open files that this process was started
// with, before package syscall raised it (golang.org/issue/46279).
//
// It must see the limit first. Packages are initialised in the order of their
// import paths where imports leave a choice (Go specification, Program
// initialization), and this one imports nothing: so it makes its system call by itself.
package rlimit

// Limit is struct rlimit64 of prlimit(2).
type Limit struct{ Cur, Max uint64 }

var nofile, known = read()

func read() (limit Limit, known bool) {
	return limit, getNofile(&limit) == 0
}

// Nofile returns the RLIMIT_NOFILE that this process was started with, and false
// where it is not known.
func Nofile() (limit Limit, ok bool) { return nofile, known }
