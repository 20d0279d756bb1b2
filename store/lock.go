package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Lock is a held flock(2). Unlock gives it back; so does the holder's death.
type Lock struct{ file *os.File }

// Lock waits for the exclusive lock with a name of the store's own, such as
// "userns" or "layer-sha256-…". Other processes that ask for it wait meanwhile.
func (s *Store) Lock(name string) (*Lock, error) {
	f, err := os.OpenFile(s.path("locks", name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", name, err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %q: %w", name, err)
	}
	return &Lock{f}, nil
}

// TryLock is Lock that does not wait: where another process holds the lock it
// returns nil and no error.
func (s *Store) TryLock(name string) (*Lock, error) {
	f, err := os.OpenFile(s.path("locks", name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", name, err)
	}
	switch err := flock(f, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, nil
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("locking %q: %w", name, err)
	}
	return &Lock{f}, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() { l.file.Close() }

func flock(f *os.File, how int) error {
	defer runtime.KeepAlive(f)
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// HoldAlive takes the lock on a container's alive file that tells the world that
// its shim lives: an open-file-description write lock (fcntl(2), F_OFD_SETLK). It
// holds until the returned file is closed, in this process and every one that
// inherited the descriptor. It fails with EAGAIN where a shim holds it already.
func HoldAlive(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "alive"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("holding the container alive: %w", err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		f.Close()
		return nil, fmt.Errorf("holding the container alive: %w", err)
	}
	return f, nil
}

// alive asks whether a shim holds the lock on the alive file in folder. It takes
// nothing, so it disturbs neither the holder nor others who ask.
func alive(folder string) (bool, error) {
	fd, err := unix.Open(filepath.Join(folder, "alive"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking whether %s is alive: %w", folder, err)
	}
	defer unix.Close(fd)
	ask := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &ask); err != nil {
		return false, fmt.Errorf("asking whether %s is alive: %w", folder, err)
	}
	return ask.Type != unix.F_UNLCK, nil
}
