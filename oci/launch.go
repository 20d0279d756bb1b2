package oci

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
)

// Launch says how a container's first process is started. The caller is root of
// the user namespace, in a mount namespace in which Rootfs is mounted.
type Launch struct {
	Spec    *specs.Spec // complete: ids are numbers, HOME is set; Spec.Root.Path is not used
	Rootfs  string      // absolute path of the mounted root file system
	Seccomp []byte      // compiled filter: an array of struct sock_filter (linux/filter.h), or empty

	// Stdio are the process's 0, 1 and 2 (nil: /dev/null). With Spec.Process.Terminal
	// they are not used: the init stage opens a pseudo-terminal in the container's
	// own devpts and its master comes back.
	Stdio [3]*os.File
	// Init runs the built-in init as PID 1 (docker run --init): it starts the
	// process, forwards signals and reaps.
	Init bool
	// Prepare, where not nil, is called while the stage starts up, on the caller's
	// thread: it may mount Rootfs and complete Spec.Process. Spec.Linux and Stdio
	// must not change any more.
	Prepare func() error
	// Forked, where not nil, is called as soon as the process and its namespaces exist,
	// with an id for them: what they lack may be begun from outside.
	Forked func(pid int) error
	// Gate, where not nil, is called while the stage makes the container's inside; the
	// program is not executed before it has returned, and not at all where it fails.
	Gate func() error
	// Created, where not nil, is called with the process's id once it exists and
	// before the container's program is executed in it: the moment to note who it is.
	Created func(pid int) error
}

// Started is a process that has been executed inside a container.
type Started struct {
	Process *userns.Process
	Console *os.File // master of its terminal, or nil
}

// Exec says how a further process is started in a running container.
type Exec struct {
	Init    *os.File       // pidfd of the container's first process
	Process *specs.Process // complete
	Seccomp []byte
	Stdio   [3]*os.File
	Created func(pid int) error // as in Launch
}
