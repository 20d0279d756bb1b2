package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stage makes a folder under tmp/ and locks it: while the returned file is open
// and its process lives, Sweep leaves the folder alone.
func (s *Store) stage(path string) (*os.File, error) {
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("staging: %w", err)
	}
	return f, nil
}

// staged tells whether a living process works in the staging folder at path.
func (s *Store) staged(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(flock(f, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// forget deletes a lock's file and gives the lock back. Only for names that will
// not be asked for again once the thing they guard is gone.
func (s *Store) forget(name string, lock *Lock) {
	os.Remove(s.path("locks", name))
	lock.Unlock()
}
