package ociruntime

import (
	"fmt"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Pause freezes all processes of a container.
func (r *Runtime) Pause(id string) error {
	return r.freeze(id, "pause", cgroups.Frozen, specs.StateRunning, specs.StateCreated)
}

// Resume lets them go on.
func (r *Runtime) Resume(id string) error {
	return r.freeze(id, "resume", cgroups.Thawed, Paused)
}

func (r *Runtime) freeze(id, what string, state cgroups.FreezerState, from ...specs.ContainerState) error {
	c, unlock, err := r.hold(id)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := c.require(what, from...); err != nil {
		return err
	}
	m, err := c.needGroup(what)
	if err != nil {
		return err
	}
	if err := m.Freeze(state); err != nil {
		return fmt.Errorf("cannot %s container %q: %w", what, id, err)
	}
	return nil
}

func (c *Container) thaw() error {
	m, err := c.needGroup("resume")
	if err != nil {
		return err
	}
	return m.Freeze(cgroups.Thawed)
}
