package ociruntime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// sendConsole hands the master of a terminal to whoever listens at a socket.
func sendConsole(path string, master *os.File) error {
	return sendDescriptor(path, []byte("/dev/ptmx"), master)
}

// sendDescriptor connects to a stream socket and sends one message with a descriptor.
func sendDescriptor(path string, body []byte, file *os.File) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	if err := connectPath(fd, path); err != nil {
		return fmt.Errorf("connecting to %q: %w", path, err)
	}
	if err := unix.Sendmsg(fd, body, unix.UnixRights(int(file.Fd())), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("sending to %q: %w", path, err)
	}
	return nil
}

// connectPath connects to a socket whose path may be longer than an address has room for.
func connectPath(fd int, path string) error {
	node, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(node)
	for {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d", node)})
		if err != unix.EINTR {
			return err
		}
	}
}

func writable(path string) bool { return unix.Access(path, unix.W_OK) == nil }
