package run

import (
	"context"
	"slices"

	"github.com/skiff-containers/skiff/store"
)

// dependsOn tells whether a container needs another one: it shares a namespace of it,
// or was created to require it.
func dependsOn(r *store.Record, id string) bool {
	h := &r.HostConfig
	return slices.Contains([]string{h.NetworkMode, h.PidMode, h.IpcMode}, "container:"+id) || slices.Contains(h.Requires, id)
}

// dependents are the containers that need c.
func (e *Engine) dependents(c *store.Container) (found []*store.Container, err error) {
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	for _, other := range all {
		if r, err := other.Record(); err == nil && other.ID != c.ID && dependsOn(r, c.ID) {
			found = append(found, other)
		}
	}
	return found, nil
}

// removeDependents removes what needs c, and what needs that, before it. No circle can
// be: a container names only those that were there before it.
func (e *Engine) removeDependents(ctx context.Context, c *store.Container, o RemoveOptions) error {
	found, err := e.dependents(c)
	if err != nil {
		return err
	}
	for _, other := range found {
		if err := gone(e.Remove(ctx, other.ID, o)); err != nil {
			return err
		}
	}
	return nil
}
