package oci

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// console is a new pseudo-terminal of the container's own devpts.
type console struct{ master, slave int }

// ConsoleReader reads what is shown on a terminal, from its master, until EIO says that
// nobody has it open any more.
//
// The kernel may say so although something was written before: it looks for what is
// there first and for the end afterwards (n_tty_read), and what is written in between
// waits for the next read.
type ConsoleReader struct{ Master io.Reader }

// Read reads once more before it returns EIO.
func (r ConsoleReader) Read(p []byte) (int, error) {
	n, err := r.Master.Read(p)
	if errors.Is(err, unix.EIO) {
		return r.Master.Read(p)
	}
	return n, err
}

// openConsole makes a terminal in the container whose root is given.
//
// The multiplexer is taken from a directory that is known to be a devpts, where
// nothing but the kernel makes entries, and the slave from the master (TIOCGPTPEER):
// a container that has put something else under these names gets an error, not a
// descriptor of ours (CVE-2025-52565, CVE-2016-8649).
func openConsole(r root, size [2]uint16, uid uint32) (*console, error) {
	dir, err := r.open("/dev/pts", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err == unix.ENOENT {
		return nil, hinted("mount devpts at /dev/pts", "opening a terminal: the container has no /dev/pts")
	}
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: /dev/pts: %w", err)
	}
	defer unix.Close(dir)
	if !isFilesystem(dir, unix.DEVPTS_SUPER_MAGIC) {
		return nil, fmt.Errorf("opening a terminal: /dev/pts in the container is no devpts")
	}
	master, err := unix.Openat(dir, "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: /dev/pts/ptmx: %w", err)
	}
	c := &console{master: master, slave: -1}
	if err := c.prepare(size, uid); err != nil {
		c.close()
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	return c, nil
}

func (c *console) prepare(size [2]uint16, uid uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(c.master, &st); err != nil {
		return err
	}
	if uint64(st.Rdev) != unix.Mkdev(5, 2) {
		return fmt.Errorf("/dev/pts/ptmx in the container is device %d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
	}
	if err := unix.IoctlSetPointerInt(c.master, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlocking it: %w", err)
	}
	slave, err := ioctl(c.master, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("opening its slave: %w", err)
	}
	c.slave = slave
	if size[0] != 0 || size[1] != 0 {
		if err := unix.IoctlSetWinsize(c.master, unix.TIOCSWINSZ, &unix.Winsize{Row: size[0], Col: size[1]}); err != nil {
			return fmt.Errorf("setting its size: %w", err)
		}
	}
	// The container's user must be able to open it again, /dev/tty and /dev/stdin do so.
	if err := unix.Fchown(c.slave, int(uid), -1); err != nil {
		return fmt.Errorf("giving it to user %d: %w", uid, err)
	}
	return nil
}

// take makes the terminal this process's descriptors 0, 1 and 2 and, with control,
// the controlling terminal of the session that it leads.
func (c *console) take(control bool) error {
	for fd := range 3 {
		if err := unix.Dup3(c.slave, fd, 0); err != nil {
			return fmt.Errorf("taking the terminal: %w", err)
		}
	}
	if !control {
		return nil
	}
	if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 0); err != nil {
		return fmt.Errorf("taking the terminal for the session: %w", err)
	}
	return nil
}

func (c *console) close() {
	unix.Close(c.master)
	if c.slave >= 0 {
		unix.Close(c.slave)
	}
}

// ioctl is for requests whose argument and answer are plain numbers.
func ioctl(fd int, request, argument uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, argument)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
