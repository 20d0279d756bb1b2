package userns

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Retried calls a system call again for as long as a signal interrupts it: the Go runtime sends
// signals to its threads, waiting with a time limit is not taken up again by the kernel
// (signal(7)), and one that is pending interrupts even what does not wait.
func Retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
