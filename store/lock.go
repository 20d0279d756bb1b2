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
	lock, err := lockPath(s.path("locks", name), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", name, err)
	}
	return lock, nil
}

// TryLock is Lock that does not wait: where another process holds the lock it
// returns nil and no error.
func (s *Store) TryLock(name string) (*Lock, error) {
	lock, err := lockPath(s.path("locks", name), os.O_RDWR|os.O_CREATE, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", name, err)
	}
	return lock, nil
}

// lockPath opens path and locks it. What was locked may have been removed or
// replaced while it was waited for: the lock counts only where the path still
// leads to it.
func lockPath(path string, flags, how int) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f, how); err != nil {
			f.Close()
			return nil, err
		}
		if same, err := leadsTo(path, f); err != nil || same {
			if err != nil {
				f.Close()
				return nil, err
			}
			return &Lock{f}, nil
		}
		f.Close()
	}
}

// leadsTo tells whether path names the open file f.
func leadsTo(path string, f *os.File) (bool, error) {
	defer runtime.KeepAlive(f)
	var there, held unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &held); err != nil {
		return false, err
	}
	if err := unix.Lstat(path, &there); errors.Is(err, unix.ENOENT) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return there.Ino == held.Ino && there.Dev == held.Dev, nil
}

// Unlock gives the lock back. It is taken away explicitly: a child that another
// thread is just forking has a copy of the descriptor until its exec.
func (l *Lock) Unlock() {
	flock(l.file, unix.LOCK_UN)
	l.file.Close()
}

// File is the open file that is locked, for a child that is to keep the lock: it holds
// until all who have the file have closed it, or one has called Unlock.
func (l *Lock) File() *os.File { return l.file }

// Discard deletes the lock's file and gives the lock back: for locks that are
// named after things which come and go. Whoever waits for it or asks later locks
// a new file.
func (l *Lock) Discard() {
	os.Remove(l.file.Name())
	l.Unlock()
}

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
//
// The caller's entry in live/ is made good where the starter of another shim,
// which lost against this one, has overwritten it.
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
	s := &Store{Root: filepath.Dir(filepath.Dir(folder))}
	if err := s.confirm(filepath.Base(folder)); err != nil {
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
