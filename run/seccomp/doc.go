// Package seccomp compiles seccomp profiles, Docker's default one among them, to
// the classic BPF that seccomp(2) takes, without libseccomp.
//
// A filter looks at the architecture first, then searches the system call's number
// in a balanced tree of ranges; checks of arguments hang at its leaves. What it
// answers is what libseccomp and runc make of the same profile; the exceptions are
// named where they are made.
package seccomp
