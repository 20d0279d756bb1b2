package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// ErrRequired says that a container is not removed, as another one was created to require it.
var ErrRequired = errors.New("container has dependent containers which must be removed before it")

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

// unrequired refuses where containers were created to require c. Those that share
// namespaces of it are no reason: docker removes it as well.
func (e *Engine) unrequired(c *store.Container, o RemoveOptions) error {
	if !c.Required() {
		return nil
	}
	found, err := e.dependents(c)
	if err != nil {
		return err
	}
	var names []string
	for _, other := range found {
		if r, err := other.Record(); err == nil && slices.Contains(r.HostConfig.Requires, c.ID) {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	name := c.ID
	if r, err := c.Record(); err == nil {
		name = r.Name
	}
	force := ""
	if o.Force {
		force = "-f "
	}
	return &userns.HostError{
		What: fmt.Sprintf("cannot remove container %q", name),
		Hint: fmt.Sprintf("skiff rm %s--depend %s removes these as well", force, name),
		Err:  fmt.Errorf("%w: %s", ErrRequired, strings.Join(names, ", ")),
	}
}
