package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Unlinked is a container that is out of the store, and whose files are still to
// be deleted. While it is held, sweeps by other processes leave them to the holder.
type Unlinked struct {
	Path  string // where its folder lies now
	store *Store
	lock  *Lock
}

// Unlink takes the container out of the store in one step: its folder moves under
// tmp/ and its name is free. What is left to do, [Unlinked.Delete] does, or the
// next [Store.Sweep] where this process ends before.
//
// The caller knows that the container does not run: it is its shim, has unmounted
// its root, or saw [Container.AwaitShim] return.
func (c *Container) Unlink() (*Unlinked, error) {
	r, err := c.Record()
	if err != nil {
		r = &Record{ID: c.ID} // damaged
	}
	u, err := c.UnlinkNamed(r.Name)
	if u != nil {
		c.store.Emit(r.Event("destroy"))
	}
	return u, err
}

// UnlinkNamed is Unlink for a caller who knows the container's name, and tells the
// journal itself.
func (c *Container) UnlinkNamed(name string) (*Unlinked, error) {
	gone := c.store.path("tmp", "remove-"+c.ID)
	if err := os.Rename(c.Dir, gone); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	} else if err != nil {
		return nil, fmt.Errorf("removing container %.12s: %w", c.ID, err)
	}
	u := &Unlinked{Path: gone, store: c.store}
	if lock, err := lockPath(gone, unix.O_DIRECTORY, unix.LOCK_EX|unix.LOCK_NB); err == nil {
		u.lock = lock
	}
	if fresh, renamed := Renamed(gone); renamed && fresh != name {
		if err := c.store.freeName(fresh, c.ID); err != nil {
			return u, fmt.Errorf("removing container %.12s: %w", c.ID, err)
		}
	}
	if name == "" {
		return u, nil // of a damaged record; the next who wants the name takes it over
	}
	if err := c.store.freeName(name, c.ID); err != nil {
		return u, fmt.Errorf("removing container %.12s: %w", c.ID, err)
	}
	return u, nil
}

// Delete deletes the files. Where somebody else holds the folder, its starter for
// a moment or a sweep, it waits for that one.
func (u *Unlinked) Delete() error {
	if u.lock == nil {
		lock, err := lockPath(u.Path, unix.O_DIRECTORY, unix.LOCK_EX)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("deleting %s: %w", u.Path, err)
		}
		u.lock = lock
	}
	defer u.lock.Unlock()
	return u.store.RemoveTree(u.Path)
}

// removeLocked removes a container that does not run and whose lock is held.
func (c *Container) removeLocked(*Lock) error {
	u, err := c.Unlink()
	if err != nil {
		return err
	}
	return c.store.RemoveTree(u.Path)
}
