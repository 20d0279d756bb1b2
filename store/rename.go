package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// renamedLink is a symlink in a container's folder to the name that it was given after
// its creation. Its shim, which knows only the earlier one, finds it there.
const renamedLink = "renamed"

// Renamed is the name that the container in a folder was given after its creation.
func Renamed(dir string) (name string, renamed bool) {
	name, err := os.Readlink(filepath.Join(dir, renamedLink))
	return name, err == nil
}

// Rename gives a container another name. r is its record, which is changed; the caller
// holds the lock of [Container.LockChange] since before it was read. It wraps
// ErrNameTaken where another container has the name.
//
//	names/<new>          the container has both names
//	<id>/renamed         its shim will free both
//	<id>/record.json     from here on the new one is its name
//	names/<old> removed
//
// All that happens under the lock of the names: whoever holds that and finds a name
// that is not in its container's record has found what a crash has left, and removes it.
func (c *Container) Rename(r *Record, name string, d Durability) error {
	lock, err := c.store.Lock("names")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	old := r.Name
	if err := c.store.claimName(name, c.ID); err != nil {
		return fmt.Errorf("renaming container %q: %w", old, err)
	}
	r.Name = name
	err = c.markRenamed(name)
	if err == nil {
		err = c.WriteRecord(r, d)
	}
	if err != nil {
		r.Name = old
		return errors.Join(fmt.Errorf("renaming container %q: %w", old, err), c.markRenamed(old), c.store.dropName(name, c.ID))
	}
	err = c.store.dropName(old, c.ID)
	if err == nil && d == Durable {
		err = SyncFolder(c.store.path("names"))
	}
	if err != nil {
		return fmt.Errorf("renaming container %q: %w", old, err)
	}
	return nil
}

func (c *Container) markRenamed(name string) error {
	fresh := filepath.Join(c.Dir, renamedLink+".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(name, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(c.Dir, renamedLink))
}
