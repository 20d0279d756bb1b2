package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// LockChange takes the lock that starting, burying and deleting a container take as
// well, for whoever changes its networks, and tells what became of it so far. It
// wraps ErrNoContainer.
func (c *Container) LockChange() (*Lock, *State, error) {
	lock, err := c.lock()
	if err != nil {
		return nil, nil, err
	}
	state, err := c.bury()
	if err != nil {
		lock.Unlock()
		return nil, nil, err
	}
	return lock, state, nil
}

// SealNetwork lets no more addresses of a network be leased, and lists those that
// are, so that it can be removed where nobody has one; open undoes it where not. A
// seal whose owner died goes with the next attempt to remove the network.
func (s *Store) SealNetwork(name string) (leases map[string]string, open func() error, err error) {
	folder := s.path("networks", name)
	sealed := filepath.Join(folder, "sealed")
	err = os.Rename(filepath.Join(folder, "leases"), sealed)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Lstat(sealed)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoNetwork, name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("removing network %q: %w", name, err)
	}
	names, err := readNames(sealed)
	if err != nil {
		return nil, nil, fmt.Errorf("removing network %q: %w", name, err)
	}
	leases = make(map[string]string, len(names))
	for _, addr := range names {
		if holder, err := os.Readlink(filepath.Join(sealed, addr)); err == nil {
			leases[addr] = holder
		}
	}
	return leases, func() error { return os.Rename(sealed, filepath.Join(folder, "leases")) }, nil
}

// WriteRecord replaces what was asked for of the container. The caller holds the lock
// of [Container.LockChange] since before it read the record.
func (c *Container) WriteRecord(r *Record, d Durability) error {
	return WriteJSON(filepath.Join(c.Dir, "record.json"), r, d)
}
