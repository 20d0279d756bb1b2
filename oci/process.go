package oci

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// made is what a stage holds when it becomes the process.
type made struct {
	program int    // descriptor of this program where the reap stage is to come between, else -1
	hold    int    // the listener at which to wait for the start, else -1
	filter  []byte // of system calls, where it had to be received early
	early   bool
	labels  []int // descriptors of the files that take the labels of the process
}

// become turns the stage into the process: the order of its steps is what keeps it
// safe, so it stands in one place. It returns only with an error.
func (p *processConfig) become(l link, m *made) error {
	if !m.early {
		var err error
		if m.filter, err = l.receiveFilter(); err != nil {
			return err
		}
	}
	// A program or working directory such as /proc/self/fd/7 must not lead through a
	// descriptor of ours to the host's files (CVE-2024-21626). From here on only sync
	// is open, a socket, and what leads nowhere else; and this program, which nobody can
	// write to.
	if err := closeOthers(p.Preserved, append(m.labels, l.fd, m.program, m.hold)...); err != nil {
		return err
	}
	if p.Rare == nil || !p.Rare.KeepKeyring {
		if err := newKeyring(); err != nil {
			return err
		}
	}
	if err := checkRlimits(p.Rlimits); err != nil {
		return err
	}
	// As root first: Docker lets a process start in a directory that its user could not enter.
	arrived, err := p.enterDirectory()
	if err != nil {
		return err
	}
	defaultSignals()
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("setting no_new_privs: %w", err)
		}
	}
	if p.Rare != nil {
		if err := p.Rare.apply(); err != nil { // some of it needs capabilities
			return err
		}
	}
	if err := setRlimits(p.Rlimits); err != nil {
		return err
	}
	known, err := p.Capabilities.dropBounding() // needs CAP_SETPCAP, which goes below
	if err != nil {
		return err
	}
	if err := p.changeUser(); err != nil {
		return err
	}
	// Without no_new_privs a filter needs CAP_SYS_ADMIN, which is kept until then.
	var kept capabilitySet
	if len(m.filter) > 0 && !p.NoNewPrivileges {
		kept = 1 << unix.CAP_SYS_ADMIN
	}
	if err := p.Capabilities.apply(known, kept); err != nil {
		return err
	}
	if !arrived {
		if _, err := p.enterDirectory(); err != nil {
			return err
		}
	}
	unix.Umask(int(p.Umask))
	name, err := lookPath(p.Args[0], p.Env)
	if err != nil {
		return err
	}
	image, err := p.layOut(l, name, m.program)
	if err != nil {
		return err
	}
	if m.hold >= 0 {
		if err := l.holdAt(m.hold); err != nil {
			return err
		}
	}
	if err := runHooks(p.Hooks); err != nil {
		return err
	}
	if err := p.takeLabels(m.labels); err != nil {
		return err
	}
	if !p.Outlives {
		if err := dieWithParent(l); err != nil {
			return err
		}
	}
	l.sendReady() // sending may be what the filter forbids
	if err := p.installFilter(l, m.filter); err != nil {
		return err
	}
	if kept&^p.Capabilities.Effective != 0 {
		if err := p.Capabilities.set(known); err != nil {
			return err
		}
	}
	err = image.exec()
	if m.program >= 0 {
		return because(err, "skiff must be linked statically (CGO_ENABLED=0), and the filter must allow execveat", "starting the built-in init")
	}
	return execFailure(p.Args[0], name, err)
}

// isPollDescriptor tells the descriptors by which the Go runtime waits for others;
// it has them where 0, 1 or 2 is non-blocking, and dies without them. The name is
// one that the runtime keeps reachable, for runc's sake.
//
//go:linkname isPollDescriptor internal/poll.IsPollDescriptor
func isPollDescriptor(fd uintptr) bool

// closeOthers closes every descriptor but 0, 1, 2, as many more from 3 on as the
// process is to have, those given, and the Go runtime's own, which lead nowhere
// either and go with exec.
func closeOthers(preserved int, keep ...int) error {
	for fd := 3; fd < 1024; fd++ {
		if isPollDescriptor(uintptr(fd)) {
			keep = append(keep, fd)
		}
	}
	slices.Sort(keep)
	next := 3 + preserved
	for _, fd := range append(keep, 1<<31-1) {
		if fd < next {
			continue
		}
		if fd > next {
			if err := closeRange(next, fd-1); err != nil {
				return fmt.Errorf("closing descriptors: %w", err)
			}
		}
		next = fd + 1
	}
	return nil
}

func closeRange(first, last int) error {
	err := unix.CloseRange(uint(first), uint(last), 0)
	if err != unix.ENOSYS {
		return err
	}
	var have unix.Rlimit // before 5.9: one by one
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &have); err != nil {
		return err
	}
	for fd := first; fd <= last && uint64(fd) < have.Cur; fd++ {
		unix.Close(fd)
	}
	return nil
}

// newKeyring leaves the host session's keys behind (session-keyring(7)). Outer
// containers and small quotas forbid it, and it is the second fence only: keys are
// protected by their ids as well.
func newKeyring() error {
	_, _, errno := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	switch errno {
	case 0, unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EDQUOT:
		return nil
	}
	return fmt.Errorf("joining a new session keyring: %w", errno)
}

// enterDirectory changes to the working directory. It tells false where the user
// that the thread has now may not enter it; once the final user may not either, that is the error.
func (p *processConfig) enterDirectory() (bool, error) {
	err := unix.Chdir(p.Cwd)
	if errors.Is(err, unix.EACCES) && unix.Geteuid() == 0 && p.UID != 0 {
		return false, nil
	}
	if errors.Is(err, unix.ENOENT) {
		return false, &Error{Code: codeNotFound, Text: fmt.Sprintf("entering the working directory %q: %s", p.Cwd, err)}
	}
	if err != nil {
		return false, &Error{Code: codeNotExecutable, Text: fmt.Sprintf("entering the working directory %q: %s", p.Cwd, err)}
	}
	// The kernel says "(unreachable)" of a directory that is not beneath this root.
	b := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(b)
	if err != nil || n == 0 || b[0] != '/' {
		return false, &Error{Code: codeNotExecutable, Text: fmt.Sprintf("working directory %q lies outside the container", p.Cwd)}
	}
	return true, nil
}

// defaultSignals gives the process default dispositions and an empty mask: exec
// resets handlers, but keeps what is ignored (nohup, a shell's background job) or
// blocked in the one that started skiff.
func defaultSignals() {
	var action [4]uint64 // struct sigaction of the kernel: SIG_DFL, no flags, nothing masked
	for signal := uintptr(1); signal <= 64; signal++ {
		if signal == uintptr(unix.SIGKILL) || signal == uintptr(unix.SIGSTOP) {
			continue
		}
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
	var mask uint64
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}

// changeUser sets groups and ids of this thread. Groups go first, while root may
// still set them; the permitted capabilities stay until they are set one by one.
func (p *processConfig) changeUser() error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping capabilities: %w", err)
	}
	// The system calls themselves, as Go's functions would change all threads, of
	// which this is the only one to survive.
	if p.SetGroups {
		var first unsafe.Pointer
		if len(p.Groups) > 0 {
			first = unsafe.Pointer(&p.Groups[0])
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.Groups)), uintptr(first), 0); errno != 0 {
			return fmt.Errorf("setting the groups %v: %w", p.Groups, errno)
		}
	}
	gid, uid := uintptr(p.GID), uintptr(p.UID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return fmt.Errorf("changing to group %d: %w", p.GID, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return fmt.Errorf("changing to user %d: %w", p.UID, errno)
	}
	return nil
}

// dieWithParent asks for SIGKILL when the starter's thread ends. It comes after the
// change of user and capabilities, which clears it (PR_SET_PDEATHSIG(2const)), and
// is followed by a look whether the starter is there still: one that died before
// sends no signal any more, and its end of sync is closed.
func dieWithParent(l link) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking to end with the parent: %w", err)
	}
	poll := []unix.PollFd{{Fd: int32(l.fd)}} // hang-ups are always told
	n := 0
	err := userns.Retried(func() (err error) { // a signal that is pending interrupts even what does not wait (poll(2))
		n, err = unix.Poll(poll, 0)
		return err
	})
	if err == nil && n > 0 {
		return errors.New("the parent has ended")
	}
	return nil
}

// image is what execve gets, laid out while memory may still be asked for.
type image struct {
	path       *byte
	argv, envv []*byte
	program    int // run this descriptor instead of path, or -1
}

func (p *processConfig) layOut(l link, name string, program int) (i image, err error) {
	args := p.Args
	i.program = program
	if program >= 0 {
		// The reap stage reports on sync how its child's exec went.
		if _, err := unix.FcntlInt(uintptr(l.fd), unix.F_SETFD, 0); err != nil {
			return i, fmt.Errorf("passing sync on: %w", err)
		}
		args = append([]string{reapStageName, strconv.Itoa(l.fd), strconv.FormatBool(p.Terminal), name}, p.Args...)
		name = ""
	}
	if i.path, err = syscall.BytePtrFromString(name); err != nil {
		return i, fmt.Errorf("program %q: %w", name, err)
	}
	if i.argv, err = syscall.SlicePtrFromStrings(args); err != nil {
		return i, fmt.Errorf("arguments: %w", err)
	}
	if i.envv, err = syscall.SlicePtrFromStrings(p.Env); err != nil {
		return i, fmt.Errorf("environment: %w", err)
	}
	return i, nil
}

func (i *image) exec() error {
	var errno syscall.Errno
	if i.program >= 0 {
		_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(i.program), uintptr(unsafe.Pointer(i.path)),
			uintptr(unsafe.Pointer(&i.argv[0])), uintptr(unsafe.Pointer(&i.envv[0])), unix.AT_EMPTY_PATH, 0)
	} else {
		_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(i.path)),
			uintptr(unsafe.Pointer(&i.argv[0])), uintptr(unsafe.Pointer(&i.envv[0])))
	}
	return errno
}

func prctlPointer(option int, pointer *byte) {
	unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), uintptr(unsafe.Pointer(pointer)), 0, 0, 0, 0)
}

// environment returns a variable's value, the last where it stands twice.
func environment(env []string, key string) string {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, key+"="); ok {
			return value
		}
	}
	return ""
}
