package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Rename gives a container another name, whether it runs or not: also the one by which
// those in its networks call it. It wraps store.ErrNameTaken.
func (e *Engine) Rename(ctx context.Context, ref, name string) error {
	defer e.tidy()()
	name = strings.TrimPrefix(name, "/")
	if err := checkName(name); err != nil {
		return err
	}
	c, err := e.Store.Find(ref)
	if err != nil {
		return err
	}
	lock, state, err := c.LockChange()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	r, err := c.Record()
	if err != nil {
		return err
	}
	old := r.Name
	if name == old {
		return errors.New("renaming a container with the same name as its current name")
	}
	if err := c.Rename(r, name, durabilityOf(r)); err != nil {
		return err
	}
	if state.Alive() {
		if err := e.renameInNetworks(c, r); err != nil {
			e.say(fmt.Sprintf("networks call container %q by its old name until it starts again: %v", name, err))
		}
	}
	e.emit(r, "rename", "oldName", "/"+old)
	return nil
}

// renameInNetworks has the names of a running container's networks follow.
func (e *Engine) renameInNetworks(c *store.Container, r *store.Record) error {
	a, err := store.ReadAttachment(c.Dir)
	if err != nil || a == nil {
		return err
	}
	return e.changeRunning(c, r, func(a *store.Attachment) error {
		a.Name = r.Name
		return nil
	})
}

// checkName refuses what cannot name a container.
func checkName(name string) error {
	if len(name) > unix.NAME_MAX {
		return fmt.Errorf("invalid container name %.20q…: it is longer than %d bytes", name, unix.NAME_MAX)
	}
	if len(name) < 2 || !store.ValidName(name) {
		return fmt.Errorf("invalid container name %q: two or more of [a-zA-Z0-9_.-], a letter or digit first", name)
	}
	return nil
}
