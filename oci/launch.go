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
	// Cgroup, where not nil, is cgroup.procs of the group that the process enters, open
	// for writing; a new cgroup namespace has its root there.
	Cgroup *os.File

	// ID and Bundle are told to the hooks of Spec.
	ID, Bundle string
	// Hold, where not nil, is a listening unix socket: Start returns when all is made, and
	// the program is executed only when [Release] was called with a connection to it. The
	// process outlives its starter then.
	Hold *os.File
	// NoPivot changes the root by chroot(2), for hosts whose root is the initial
	// RAM file system, which cannot be pivoted.
	NoPivot bool
	// Nodes makes device nodes where the kernel lets it, rather than binding the host's.
	Nodes bool
	// SharedMounts lets the spec do without a mount namespace of its own: the mounts are made
	// in the starter's, or in one that is joined, and stay there.
	SharedMounts bool
	// AllCgroups shows the hierarchies of version 1 as well.
	AllCgroups bool
	Extras
}

// Extras are what a runtime that others call may be asked for, for any process.
type Extras struct {
	// Program, where not nil, opens a program to execute the stages from, one that has
	// [Stages], in place of the running one.
	Program func() (*os.File, error)
	// Preserve are the process's descriptors from 3 on.
	Preserve []*os.File
	// NoKeyring lets the process keep the session keyring of its starter.
	NoKeyring bool
	// FilterFlags are those of seccomp(2), SECCOMP_FILTER_FLAG_*, for the filter.
	FilterFlags uint32
	// Listener, where not nil, is called with the listener of the filter, which it is to
	// pass on (seccomp_unotify(2)), before the program is executed. With Hold it
	// must be nil: the one who calls [ReleaseTo] gets it.
	Listener func(listener *os.File) error
	// Notify says that the filter has a listener.
	Notify bool
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
	Cgroup  *os.File            // as in Launch
	// KeepGroups leaves the process the supplementary groups that the caller has.
	KeepGroups bool
	// Outlives lets the process live on when its starter ends.
	Outlives bool
	Extras
}
