package ociruntime

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/cgroup"
	"github.com/skiff-containers/skiff/store"
)

// Update changes the limits of a container. change gets those that it has, as its
// config says, and may change any.
func (r *Runtime) Update(id string, change func(*specs.LinuxResources) error) error {
	c, unlock, err := r.hold(id)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := c.require("update", specs.StateCreating, specs.StateCreated, specs.StateRunning, Paused); err != nil {
		return err
	}
	spec, err := c.config()
	if err != nil {
		return err
	}
	if spec.Linux.Resources == nil {
		spec.Linux.Resources = new(specs.LinuxResources)
	}
	if err := change(spec.Linux.Resources); err != nil {
		return err
	}
	resources, err := cgroup.FromSpec(spec.Linux.Resources)
	if err != nil {
		return err
	}
	// The rules for devices stay as they are: to set them anew would shut out what is in use for a moment.
	resources.SkipDevices = true
	m, err := c.needGroup("update")
	if err != nil {
		return err
	}
	if err := m.Set(resources); err != nil {
		return fmt.Errorf("updating container %q: %w", id, err)
	}
	c.record.Group.Config.Resources = resources
	if err := store.WriteJSON(c.path(fileConfig), spec, store.Fleeting); err != nil {
		return err
	}
	return c.save()
}
