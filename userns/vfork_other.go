//go:build !amd64 && !arm64

package userns

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// vfork copies the memory where nobody has written the few lines that share it.
//
//go:nosplit
func vfork(flags uintptr) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, flags&^(unix.CLONE_VM|unix.CLONE_VFORK), 0, 0, 0, 0, 0)
	return pid, errno
}
