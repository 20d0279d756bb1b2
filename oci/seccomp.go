package oci

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filterSize is the size of a struct sock_filter (linux/filter.h).
const filterSize = int(unsafe.Sizeof(unix.SockFilter{}))

func checkFilter(filter []byte) error {
	if len(filter)%filterSize != 0 || len(filter)/filterSize > unix.BPF_MAXINSNS {
		return fmt.Errorf("installing the system call filter: %d bytes are no filter program", len(filter))
	}
	return nil
}

// installFilter puts the calling thread under a seccomp filter (seccomp(2)). With
// no_new_privs set it needs no privilege, else CAP_SYS_ADMIN.
//
// The filter is the thread's alone, without SECCOMP_FILTER_FLAG_TSYNC: exec ends
// the other threads, which are the Go runtime's, and a profile that kills for a
// system call of the runtime's must not hit them before.
func (p *processConfig) installFilter(l link, filter []byte) error {
	if len(filter) == 0 {
		return nil
	}
	instructions := make([]unix.SockFilter, len(filter)/filterSize) // aligned, which filter may not be
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&instructions[0])), len(filter)), filter)
	program := unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
	flags := uintptr(p.FilterFlags)
	if p.Notify {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("installing the system call filter: %w", errno)
	}
	if p.Notify {
		// The supervisor must have it before the first call that it is to answer. The filter
		// lets sendmsg(2) and read(2) pass: whoever compiled it saw to that.
		l.send(messageListen, nil, unix.UnixRights(int(listener)))
		if _, err := l.block(); err != nil {
			return err
		}
	}
	return nil
}
