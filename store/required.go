package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// requiredMark is an empty file in the folder of a container that another one was
// created to require: only those with it have anybody to look for before they are removed.
const requiredMark = "required"

// MarkRequired notes that another container is about to be created that requires this
// one. Where nothing comes of that the mark says too much, which does no harm.
func (c *Container) MarkRequired() error {
	f, err := os.OpenFile(filepath.Join(c.Dir, requiredMark), os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("requiring container %.12s: %w", c.ID, ErrNoContainer)
	}
	if err != nil {
		return fmt.Errorf("requiring container %.12s: %w", c.ID, err)
	}
	return f.Close()
}

// Required tells whether a container may have been created that requires this one.
func (c *Container) Required() bool {
	_, err := os.Lstat(filepath.Join(c.Dir, requiredMark))
	return err == nil
}
