package oci

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// holdName is the listening socket at which a held stage waits.
const holdName = "hold"

// holdAt tells the starter that everything is made, and waits for the one who
// releases the process; that one takes the starter's place at the other end of l.
// A connection that is closed without a word was a look whether the stage still waits.
//
// The system calls are raw ones: the limits of the container hold already, and the
// Go runtime would answer a long wait with another thread.
func (l link) holdAt(listener int) error {
	l.send(messageHeld, nil, nil)
	for {
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		if errno == unix.EINTR || errno == unix.ECONNABORTED {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("waiting for the start: %w", errno)
		}
		if !awaitWord(int(fd)) {
			unix.Close(int(fd))
			continue
		}
		if err := unix.Dup3(int(fd), l.fd, unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("waiting for the start: %w", err)
		}
		unix.Close(int(fd))
		unix.Close(listener)
		return nil
	}
}

// awaitWord reads the one byte that Release sends; false is a connection without it.
func awaitWord(fd int) bool {
	var word [1]byte
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&word)), 1)
		if errno != unix.EINTR {
			return errno == 0 && n == 1
		}
	}
}

// Release lets the process go on that [Launch.Start] started with Hold. conn is
// connected to that socket. It returns once the program was executed, or with an
// [*Error]; then the process has ended.
func Release(conn *os.File) error { return release(conn, nil) }

func release(conn *os.File, a *answers) error {
	l := link{int(conn.Fd())}
	if err := l.write([]byte{1}); err != nil {
		return asError(err)
	}
	if _, err := l.await(a); err != nil {
		return asError(err)
	}
	return nil
}

// passedHold is the stage's end of it, or -1.
func (p *processConfig) passedHold() (int, error) {
	if !p.Hold {
		return -1, nil
	}
	file, err := userns.Passed(holdName)
	if err != nil {
		return -1, err
	}
	defer file.Close()
	return unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
}
