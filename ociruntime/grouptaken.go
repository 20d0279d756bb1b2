package ociruntime

import (
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// The groups of a container that has stopped stand empty until it is deleted, and cgroupsPath
// may give them to a further container meanwhile, of this runtime or of another. Nothing of
// that one is the first one's to look at, to kill, or to delete.

// groupTaken tells whether the groups are those of a later container of this runtime.
func (c *Container) groupTaken() (bool, error) {
	if ended, err := c.ended(); err != nil || !ended {
		return false, err
	}
	all, err := c.runtime.opened()
	if err != nil {
		return false, err
	}
	for _, other := range all {
		if other.record.ID == c.record.ID || !other.record.Group.shares(c.record.Group) {
			continue
		}
		ended, err := other.ended()
		if err != nil {
			return false, err
		}
		if !ended || other.record.Created.After(c.record.Created) {
			return true, nil
		}
	}
	return false, nil
}

// shares tells whether two containers have a group in common.
func (g *groupRecord) shares(other *groupRecord) bool {
	if g == nil {
		return false
	}
	for controller, path := range g.Paths {
		if path != "" && other.Paths[controller] == path {
			return true
		}
	}
	return false
}

// ended tells whether the first process has.
func (c *Container) ended() (bool, error) {
	pidfd, err := c.record.Process.Open()
	if err != nil || pidfd == nil {
		return err == nil, err
	}
	return false, pidfd.Close()
}

// endedAll tells whether all processes of the container have: with the first one of a PID
// namespace all others of it end (pid_namespaces(7)).
func (c *Container) endedAll() (bool, error) {
	if ended, err := c.ended(); err != nil || !ended {
		return false, err
	}
	spec, err := c.config()
	if err != nil {
		return false, err
	}
	for _, n := range spec.Linux.Namespaces {
		if n.Type == specs.PIDNamespace {
			return n.Path == "", nil
		}
	}
	return false, nil
}

// leavingLimit is how long a process of exec that came too late may take to find that out.
const leavingLimit = time.Second

// inhabited tells whether others live in the groups of a container whose processes have all ended.
func (c *Container) inhabited(m cgroups.Manager) bool {
	if all, err := c.endedAll(); err != nil || !all {
		return false
	}
	for deadline := time.Now().Add(leavingLimit); ; time.Sleep(5 * time.Millisecond) {
		if pids, err := m.GetAllPids(); err != nil || len(pids) == 0 {
			return false
		}
		if time.Now().After(deadline) {
			return true
		}
	}
}
