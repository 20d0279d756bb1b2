package oci

import "golang.org/x/sys/unix"

// mkdirCalls are the system calls behind mkdir(1).
func mkdirCalls() []uint32 { return []uint32{unix.SYS_MKDIR, unix.SYS_MKDIRAT} }
