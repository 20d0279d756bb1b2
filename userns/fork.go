package userns

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The Go runtime keeps these three names reachable for programs that fork by
// themselves (gVisor is the known one). They stop signals and other threads
// from disturbing the moment in which a multi-threaded program forks.

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

//go:linkname runtimeAfterForkInChild syscall.runtime_AfterForkInChild
func runtimeAfterForkInChild()

// step names what the child was doing when a system call failed. The child
// cannot allocate, so it reports a number and the parent finds the words.
type step uint32

const (
	stepReparented step = iota // not a failure: the value is the process id of the grandchild
	stepGate
	stepJoin
	stepUnshare
	stepClone
	stepRoot
	stepAmbient
	stepSession
	stepGroup
	stepDescriptors
	stepProgram
	stepExec
)

var stepNames = [...]string{
	stepGate:        "waiting for the id mappings",
	stepJoin:        "joining namespaces",
	stepUnshare:     "creating namespaces",
	stepClone:       "forking inside the namespaces",
	stepRoot:        "becoming root of the user namespace",
	stepAmbient:     "keeping capabilities in the user namespace",
	stepSession:     "starting a session",
	stepGroup:       "entering the cgroup",
	stepDescriptors: "passing descriptors",
	stepProgram:     "opening the program through a read-only mount",
	stepExec:        "executing the program",
}

// plan is all that the child needs, laid out before the fork: between clone and
// exec the child may neither allocate nor grow its stack nor take a lock.
type plan struct {
	cloneFlags uintptr

	gate      int // read end of the pipe that says "mapped", or -1
	gateWrite int // the parent's end, closed first: else a dead parent is never noticed
	report    int // write end of the error pipe

	before      []int // namespaces to join first; the elements that are joined become -1
	join        int   // pidfd or namespace descriptor, or -1
	joinFlags   uintptr
	unshare     uintptr
	reparent    bool
	becomeRoot  bool
	early       bool                // the program waits for the mappings by itself
	root        [2]uintptr          // user and group id to become
	capHeader   *unix.CapUserHeader // to keep all capabilities over exec as another one than root; or nil
	capData     [2]unix.CapUserData
	session     bool
	group       int  // cgroup.procs of the cgroup to enter, or -1
	itself      byte // what a process writes there for itself
	readOnly    bool
	programFile int // descriptor of the program, or -1
	programPath *byte
	argv, envv  **byte

	pause syscall.Timespec // between two tries to execute a program that is busy

	sources []int // sources[i] becomes descriptor i; all are numbered above len(sources)
	empty   *byte
	attr    *unix.MountAttr
	nofile  *syscall.Rlimit // to set before exec, or nil
}

// busyTries is how often a program is tried that somebody has open for writing: for a second.
const busyTries = 1000

// twice tells whether the namespaces of cloneFlags are made by a second clone, in
// the child: after it has joined others.
func (p *plan) twice() bool { return len(p.before) > 0 && p.cloneFlags != 0 }

// fork clones the process and carries out p in the child. It returns in the
// parent only. The caller holds syscall.ForkLock.
func fork(p *plan) (pid uintptr, errno syscall.Errno) {
	runtimeBeforeFork()
	pid, errno = clone(p)
	runtimeAfterFork()
	return pid, errno
}

// clone is fork's part from which the child does not return, and the parent at once.
//
// The child has a copy of the memory, but for one that waits for nothing: that shares the
// memory until exec, as one of os/exec does, which spares both sides the page tables and
// the copies of all pages that are written to meanwhile. A child that changes its ids
// cannot: it would make the shared memory undumpable (commit_creds in the kernel's
// cred.c), and so take its own /proc/self from the parent. Ambient capabilities do not.
//
//go:noinline
//go:norace
//go:nosplit
func clone(p *plan) (pid uintptr, errno syscall.Errno) {
	var (
		b   [1]byte
		n   uintptr
		i   int
		fd  uintptr
		msg [2]uint32
	)
	first := p.cloneFlags
	if len(p.before) > 0 {
		first = 0
	}
	if p.early {
		pid, errno = vfork(first | unix.CLONE_VM | unix.CLONE_VFORK | uintptr(syscall.SIGCHLD))
	} else {
		pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, first|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	}
	if errno != 0 || pid != 0 {
		return
	}
	runtimeAfterForkInChild()

	for i = 0; i < len(p.before); i++ {
		msg[0] = uint32(stepJoin)
		_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(p.before[i]), 0, 0)
		switch {
		case errno == 0:
			p.before[i] = -1
		case errno != syscall.EPERM || p.join < 0:
			goto fail
		}
	}
	if len(p.before) > 0 && p.cloneFlags != 0 {
		msg[0] = uint32(stepUnshare)
		pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, p.cloneFlags|uintptr(syscall.CLONE_PARENT)|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			goto fail
		}
		if pid != 0 {
			msg[0], msg[1] = uint32(stepReparented), uint32(pid)
			syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.report), uintptr(unsafe.Pointer(&msg)), unsafe.Sizeof(msg))
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if p.gate >= 0 {
		msg[0] = uint32(stepGate)
		syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(p.gateWrite), 0, 0)
		for {
			n, _, errno = syscall.RawSyscall(syscall.SYS_READ, uintptr(p.gate), uintptr(unsafe.Pointer(&b[0])), 1)
			if errno != syscall.EINTR {
				break
			}
		}
		if n != 1 { // the parent gave up or died: nobody is left to report to
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 125, 0, 0)
		}
	}
	if p.join >= 0 {
		msg[0] = uint32(stepJoin)
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(p.join), p.joinFlags, 0); errno != 0 {
			goto fail
		}
	}
	for i = 0; i < len(p.before); i++ {
		if p.before[i] < 0 {
			continue
		}
		msg[0] = uint32(stepJoin)
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(p.before[i]), 0, 0); errno != 0 {
			goto fail
		}
	}
	if p.becomeRoot {
		// Before unshare and the second clone: what is created afterwards belongs
		// to root of the namespace. The group goes first, while the user may still change it.
		msg[0] = uint32(stepRoot)
		if _, _, errno = syscall.RawSyscall(syscall.SYS_SETRESGID, p.root[1], p.root[1], p.root[1]); errno != 0 {
			goto fail
		}
		if _, _, errno = syscall.RawSyscall(syscall.SYS_SETRESUID, p.root[0], p.root[0], p.root[0]); errno != 0 {
			goto fail
		}
	}
	if p.capHeader != nil {
		msg[0] = uint32(stepAmbient)
		if _, _, errno = syscall.RawSyscall(unix.SYS_CAPGET, uintptr(unsafe.Pointer(p.capHeader)), uintptr(unsafe.Pointer(&p.capData)), 0); errno != 0 {
			goto fail
		}
		p.capData[0].Inheritable, p.capData[1].Inheritable = p.capData[0].Permitted, p.capData[1].Permitted
		if _, _, errno = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(p.capHeader)), uintptr(unsafe.Pointer(&p.capData)), 0); errno != 0 {
			goto fail
		}
		for i = 0; i < 64 && errno != syscall.EINVAL; i++ { // which is what comes after the last of this kernel
			_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(i), 0, 0, 0)
		}
	}
	if p.unshare != 0 {
		msg[0] = uint32(stepUnshare)
		if _, _, errno = syscall.RawSyscall(unix.SYS_UNSHARE, p.unshare, 0, 0); errno != 0 {
			goto fail
		}
	}
	if p.reparent {
		// setns(CLONE_NEWPID) takes effect for children only, so the process that
		// stays is a second one; CLONE_PARENT makes it our parent's child.
		msg[0] = uint32(stepClone)
		pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.CLONE_PARENT)|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			goto fail
		}
		if pid != 0 {
			msg[0], msg[1] = uint32(stepReparented), uint32(pid)
			syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.report), uintptr(unsafe.Pointer(&msg)), unsafe.Sizeof(msg))
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if p.session {
		msg[0] = uint32(stepSession)
		if _, _, errno = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0); errno != 0 {
			goto fail
		}
	}
	if p.group >= 0 {
		msg[0] = uint32(stepGroup)
		if _, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.group), uintptr(unsafe.Pointer(&p.itself)), 1); errno != 0 {
			goto fail
		}
	}
	msg[0] = uint32(stepDescriptors)
	for i = 0; i < len(p.sources); i++ {
		if _, _, errno = syscall.RawSyscall(syscall.SYS_DUP3, uintptr(p.sources[i]), uintptr(i), 0); errno != 0 {
			goto fail
		}
	}
	// What the caller's own parent left open without close-on-exec is nobody's business here.
	if _, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(len(p.sources)), ^uintptr(0)>>32, unix.CLOSE_RANGE_CLOEXEC); errno != 0 && errno != syscall.ENOSYS && errno != syscall.EINVAL {
		goto fail
	}
	if p.nofile != nil { // a failure leaves the higher limit, which is no harm
		syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(p.nofile)), 0, 0, 0)
	}
	fd = uintptr(p.programFile)
	if p.readOnly {
		// The path is opened again here: a descriptor from before the clone belongs
		// to a mount of another mount namespace, which open_tree refuses with EINVAL.
		msg[0] = uint32(stepProgram)
		fd, _, errno = syscall.RawSyscall(unix.SYS_OPEN_TREE, ^uintptr(99), uintptr(unsafe.Pointer(p.programPath)), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if errno != 0 {
			goto fail
		}
		if _, _, errno = syscall.RawSyscall6(unix.SYS_MOUNT_SETATTR, fd, uintptr(unsafe.Pointer(p.empty)), unix.AT_EMPTY_PATH, uintptr(unsafe.Pointer(p.attr)), unsafe.Sizeof(*p.attr), 0); errno != 0 {
			goto fail
		}
	}
	msg[0] = uint32(stepExec)
	for i = 0; ; i++ {
		if p.readOnly || p.programFile >= 0 {
			_, _, errno = syscall.RawSyscall6(unix.SYS_EXECVEAT, fd, uintptr(unsafe.Pointer(p.empty)), uintptr(unsafe.Pointer(p.argv)), uintptr(unsafe.Pointer(p.envv)), unix.AT_EMPTY_PATH, 0)
		} else {
			_, _, errno = syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(p.programPath)), uintptr(unsafe.Pointer(p.argv)), uintptr(unsafe.Pointer(p.envv)))
		}
		if errno != syscall.ETXTBSY || i == busyTries {
			break
		}
		// Somebody has just written the program, and a process that he was forking
		// meanwhile has his descriptor until it executes its own (golang.org/issue/22315).
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&p.pause)), 0, 0)
	}
fail:
	msg[1] = uint32(errno)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.report), uintptr(unsafe.Pointer(&msg)), unsafe.Sizeof(msg))
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 125, 0, 0)
	}
}
