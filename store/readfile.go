package store

import (
	"os"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// readFile is os.ReadFile for small files that are never sockets or pipes: package os
// asks of each whether it can be polled, which is more than half of the system calls
// of a command that reads a thousand of them.
func readFile(path string) ([]byte, error) {
	var fd int
	err := userns.Retried(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 2048)
	for {
		n := 0
		err := userns.Retried(func() (err error) {
			n, err = unix.Read(fd, data[len(data):cap(data)])
			return err
		})
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}
