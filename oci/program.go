package oci

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openProgram opens this program in such a way that a container which gets hold of
// a stage's /proc/PID/exe cannot write to it, neither now nor after the stage has
// ended (CVE-2019-5736): on a read-only mount that no namespace has.
//
// It is opened before the fork: the path of the program means something else in
// the container, where /proc may be anything.
func openProgram() (*os.File, error) {
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening this program: %w", err)
	}
	exe := os.NewFile(uintptr(fd), "/proc/self/exe")
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err == nil && st.Flags&unix.ST_RDONLY != 0 {
		return exe, nil // a shim is started so
	}
	defer exe.Close()
	tree, err := cloneTree(fd, "", false)
	if err != nil {
		return copyProgram()
	}
	if err := (change{attributes: attributes{Set: unix.MOUNT_ATTR_RDONLY}}).apply(tree); err != nil {
		unix.Close(tree)
		return copyProgram()
	}
	return os.NewFile(uintptr(tree), "program"), nil
}

// readable tells whether the caller may read a program.
func readable(program *os.File) bool {
	return unix.Access(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), unix.R_OK) == nil
}

// memfdExec is MFD_EXEC (linux/memfd.h): from Linux 6.3 on a memfd may have to ask for it.
const memfdExec = 0x10

// copyProgram is for kernels and mounts of which no clone can be had: a copy in
// memory, sealed.
func copyProgram() (*os.File, error) {
	f, err := SealedProgram(func(to *os.File) error {
		exe, err := os.Open("/proc/self/exe")
		if err != nil {
			return err
		}
		defer exe.Close()
		_, err = io.Copy(to, exe)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("copying this program to memory: %w", err)
	}
	return f, nil
}

// SealedProgram returns a program that lies in memory and that nobody can change any
// more (memfd_create(2)).
func SealedProgram(write func(to *os.File) error) (*os.File, error) {
	fd, err := unix.MemfdCreate("skiff", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|memfdExec)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("skiff", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	memory := os.NewFile(uintptr(fd), "program")
	if err = write(memory); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		memory.Close()
		return nil, err
	}
	return memory, nil
}
