package escape

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A user namespace of its own would give a process all capabilities again, and with
// them the parts of the kernel that most of its faults are in.
func TestNamespacesCannotBeMade(t *testing.T) {
	t.Parallel()
	if found := attacked(t, nil, "namespaces"); strings.Contains(found, "made") {
		t.Error(found)
	}
	if found := attacked(t, []string{"-u", "1000:1000"}, "namespaces"); strings.Contains(found, "made") {
		t.Error("an ordinary user:", found)
	}
	found := attacked(t, []string{"--security-opt", "seccomp=unconfined"}, "namespaces")
	for _, way := range []string{"clone", "clone3", "unshare"} {
		if !strings.Contains(found, way+": made") {
			t.Errorf("without a filter: %q", found)
		}
	}
}

// cloneArgs is the beginning of struct clone_args (clone(2)).
type cloneArgs struct{ flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64 }

func makeNamespaces([]string) error {
	args := cloneArgs{flags: unix.CLONE_NEWUSER, exitSignal: uint64(unix.SIGCHLD)}
	child("clone", func() (uintptr, unix.Errno) {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		return pid, errno
	})
	child("clone3", func() (uintptr, unix.Errno) {
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		return pid, errno
	})
	child("unshare", func() (uintptr, unix.Errno) {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if pid == 0 && errno == 0 { // one of a single thread, as the kernel wants it
			_, _, errno = unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0)
			unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
		}
		return pid, errno
	})
	return nil
}

// child tells whether a process was made that ended well.
func child(way string, make func() (uintptr, unix.Errno)) {
	pid, errno := make()
	if pid == 0 && errno == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if errno != 0 {
		fmt.Printf("%s: %v\n", way, errno)
		return
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		fmt.Printf("%s: %v\n", way, err)
	} else if code := status.ExitStatus(); code != 0 {
		fmt.Printf("%s: %v\n", way, unix.Errno(code))
	} else {
		fmt.Printf("%s: made\n", way)
	}
}
