//go:build amd64 || arm64

package userns

import "syscall"

// vfork is clone(2) on the caller's own stack, for flags with CLONE_VM and CLONE_VFORK:
// the calling thread goes on when the child has executed its program or has ended. It
// must be called from a frame from which the child does not return, and the parent at
// once, as the child's calls write over what lies below that frame.
func vfork(flags uintptr) (pid uintptr, errno syscall.Errno)
