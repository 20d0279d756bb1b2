package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Remove deletes a container and all that it wrote. One that runs is refused,
// unless o.Force, which kills it first; one that others require is, wrapping
// ErrRequired, unless o.Depend.
func (e *Engine) Remove(ctx context.Context, ref string, o RemoveOptions) error {
	defer e.tidy()()
	c, err := e.Store.Find(ref)
	if err != nil {
		return err
	}
	if o.Depend {
		err = e.removeDependents(ctx, c, o)
	} else {
		err = e.unrequired(c, o)
	}
	if err != nil {
		return err
	}
	if o.Force && o.Timeout != nil {
		if err := e.stop(ctx, c, StopOptions{Timeout: o.Timeout}); err != nil && !errors.Is(err, store.ErrDamaged) {
			return gone(err)
		}
	}
	state, err := settle(ctx, c)
	switch {
	case errors.Is(err, store.ErrDamaged):
		return removeDamaged(c, o.Force, err)
	case o.Force && errors.Is(err, store.ErrNoContainer):
		return nil // it was there: one with --rm went by itself when it was stopped
	case err != nil:
		return err
	case state.Up() && !o.Force:
		return stillRunning(c, ref)
	case state.Up():
		if err := e.kill(ctx, c); err != nil {
			return err
		}
	}
	if o.Force {
		err = e.removeStarted(ctx, c)
	} else {
		err = remove(c)
	}
	if errors.Is(err, store.ErrRunning) {
		return stillRunning(c, ref)
	}
	return gone(err)
}

// removeStarted deletes a container that somebody may be starting. Between the
// moment when a shim holds it and the one when that listens lie the mounts, and
// whoever started it may be dead by then: it cannot be killed yet, only awaited.
func (e *Engine) removeStarted(ctx context.Context, c *store.Container) error {
	for deadline := time.Now().Add(killLimit); ; {
		err := remove(c)
		if !errors.Is(err, store.ErrRunning) || time.Now().After(deadline) {
			return err
		}
		if err := e.kill(ctx, c); err != nil {
			return err
		}
		if err := pause(ctx, settlePoll); err != nil {
			return err
		}
	}
}

// remove deletes a container that does not run.
func remove(c *store.Container) error {
	if err := c.AwaitShim(); err != nil {
		return err
	}
	u, err := c.Unlink()
	if err != nil {
		return err
	}
	return u.Delete()
}

// stillRunning is Docker's refusal.
func stillRunning(c *store.Container, ref string) error {
	name := ref
	if r, err := c.Record(); err == nil {
		name = r.Name
	}
	why := "is running: stop the container before removing or force remove"
	if state, err := c.State(); err == nil && state.Status == store.Paused {
		why = "is paused and must be unpaused first"
	}
	return &userns.HostError{
		What: fmt.Sprintf("cannot remove container %q: container %s", name, why),
		Hint: fmt.Sprintf("skiff rm -f %s", ref),
	}
}

// endLimit is how long a process that was killed may take to end.
const endLimit = 10 * time.Second

// removeDamaged deletes a container whose files cannot be read, with force, which ends its shim.
func removeDamaged(c *store.Container, force bool, why error) error {
	if !force {
		return &userns.HostError{What: fmt.Sprintf("removing container %.12s", c.ID), Hint: fmt.Sprintf("skiff rm -f %.12s deletes it as it is", c.ID), Err: why}
	}
	if err := c.EndShim(endLimit); err != nil {
		return fmt.Errorf("removing container %.12s: %w", c.ID, err)
	}
	held, err := store.HoldAlive(c.Dir)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("removing container %.12s: its shim is alive: %w", c.ID, why)
	}
	if err == nil {
		defer held.Close()
	}
	u, err := c.Unlink()
	if err != nil {
		return err
	}
	return u.Delete()
}
