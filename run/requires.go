package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/skiff-containers/skiff/store"
)

// requirements resolves --requires: the ids of containers that must run before this
// one starts. As they exist already, no two can wait for each other.
func requirements(s *store.Store, refs []string) ([]string, error) {
	var ids []string
	for _, ref := range refs {
		c, err := s.Find(ref)
		if err != nil {
			return nil, fmt.Errorf("requiring container %q: %w", ref, err)
		}
		if err := c.MarkRequired(); err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// startRequired starts the containers that one requires and that do not run.
func (e *Engine) startRequired(r *store.Record) error {
	for _, id := range r.HostConfig.Requires {
		c, other, err := e.find(id)
		if err == nil {
			err = e.start(context.Background(), c, other)
		}
		if err != nil {
			return fmt.Errorf("starting what container %q requires: %w", r.Name, err)
		}
	}
	return nil
}

// replace removes the container that has the name of one to create (--replace).
func (e *Engine) replace(ctx context.Context, o *CreateOptions) error {
	switch {
	case !o.Replace:
		return nil
	case o.Name == "":
		return errors.New("cannot replace container without --name being set")
	}
	c, err := e.Store.Find(o.Name)
	if errors.Is(err, store.ErrNoContainer) {
		return nil
	}
	if err != nil {
		return err
	}
	if r, err := c.Record(); err != nil || r.Name != o.Name {
		return err // the name is the beginning of another one's id
	}
	if err := e.Remove(ctx, c.ID, RemoveOptions{Force: true}); err != nil {
		return fmt.Errorf("replacing container %q: %w", o.Name, err)
	}
	return nil
}
