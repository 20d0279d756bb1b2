package ociruntime

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests and messages of seccomp_unotify(2), which x/sys does not have.
const (
	notifyReceive = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifySend    = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
)

type notification struct {
	id         uint64
	pid, flags uint32
	data       [64]byte
}

type notifyAnswer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// answerWith waits for one call that the supervisor is asked about, and has it fail.
func answerWith(t *testing.T, listener *os.File, errno unix.Errno) {
	t.Helper()
	var n notification
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), notifyReceive, uintptr(unsafe.Pointer(&n))); e != 0 {
		t.Fatal(e)
	}
	a := notifyAnswer{id: n.id, errno: -int32(errno)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), notifySend, uintptr(unsafe.Pointer(&a))); e != 0 {
		t.Fatal(e)
	}
}
