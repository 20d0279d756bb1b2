package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // lets the managers set device rules
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/cgroup"
)

// group is the control groups of a container that is being created.
type group struct {
	config  cgroups.Cgroup
	manager cgroups.Manager
	limited bool // limits were asked for
	asked   *specs.LinuxResources
}

// newGroup says where a container's groups are to be, by the spec's cgroupsPath. Nil is
// a host without control groups, or a user who has none.
func (r *Runtime) newGroup(id string, s *specs.Spec) (*group, error) {
	if r.NoCgroups {
		if limits(s.Linux.Resources) {
			return nil, errors.New("the container's config asks for limits, and control groups are disabled")
		}
		return nil, nil
	}
	resources, err := cgroup.FromSpec(s.Linux.Resources)
	if err != nil {
		return nil, err
	}
	resources.Devices = append(resources.Devices, alwaysAllowed()...)
	if r.Rootless && !InitialRoot() {
		resources.SkipDevices = true // in a user namespace no rule can be set, and no node made
	}
	g := &group{config: cgroups.Cgroup{Resources: resources, Systemd: r.SystemdCgroup, Rootless: r.Rootless}, limited: limits(s.Linux.Resources), asked: s.Linux.Resources}
	if err := g.place(id, s.Linux.CgroupsPath); err != nil {
		return nil, err
	}
	if g.manager, err = manager.New(&g.config); err != nil {
		if r.Rootless && !g.limited {
			r.warn("the container gets no control group: %v", err)
			return nil, nil
		}
		return nil, fmt.Errorf("placing the container's control group: %w", err)
	}
	if r.Rootless && !g.limited && !g.reachable() {
		r.warn("the container gets no control group: this user may make none there")
		return nil, nil
	}
	return g, g.vacant()
}

// vacant refuses groups in which others live: they would share the limits, and be killed
// with the container.
func (g *group) vacant() error {
	if !g.manager.Exists() {
		return nil
	}
	pids, err := g.manager.GetAllPids()
	if err == nil && len(pids) > 0 {
		return fmt.Errorf("container's cgroup is not empty: %d process(es) found", len(pids))
	}
	return nil
}

// place translates cgroupsPath: a path, or slice:prefix:name for the service manager.
func (g *group) place(id, wanted string) error {
	if !g.config.Systemd {
		if g.config.Path = wanted; wanted == "" {
			g.config.Path = id
		}
		return nil
	}
	if wanted == "" {
		g.config.ScopePrefix, g.config.Name = "skiff", id
		if g.config.Rootless {
			g.config.Parent = "user.slice"
		}
		return nil
	}
	parts := strings.Split(wanted, ":")
	if len(parts) != 3 {
		return fmt.Errorf(`expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got %q instead`, wanted)
	}
	g.config.Parent, g.config.ScopePrefix, g.config.Name = parts[0], parts[1], parts[2]
	return nil
}

// reachable tells whether any of the groups can be made by this user.
func (g *group) reachable() bool {
	if g.config.Systemd {
		return true
	}
	for _, path := range g.manager.GetPaths() {
		for path != "/" && path != "." {
			if _, err := os.Stat(path); err == nil {
				break
			}
			path = filepath.Dir(path)
		}
		if writable(path) {
			return true
		}
	}
	return false
}

func limits(r *specs.LinuxResources) bool {
	return r != nil && (r.Memory != nil || r.CPU != nil || r.Pids != nil || r.BlockIO != nil || len(r.HugepageLimits) > 0 ||
		r.Network != nil || len(r.Rdma) > 0 || len(r.Unified) > 0)
}

// apply makes the groups, puts the process there, and limits them.
func (g *group) apply(pid int, r *Runtime) error {
	if g == nil {
		return nil
	}
	err := g.manager.Apply(pid)
	if errors.Is(err, cgroups.ErrRootless) {
		r.warn("the container gets no control group: this user may make none")
		return nil
	}
	if err != nil {
		return fmt.Errorf("making the container's control group: %w", err)
	}
	if err := g.setOld(); err != nil {
		return fmt.Errorf("limiting the container: %w", err)
	}
	if err := g.manager.Set(g.config.Resources); err != nil {
		return fmt.Errorf("limiting the container: %w", err)
	}
	return nil
}

func (g *group) record() *groupRecord {
	if g == nil {
		return nil
	}
	return &groupRecord{Config: g.config, Paths: g.manager.GetPaths()}
}

// group opens the groups of a container that exists, nil where it has none, or none any longer.
func (c *Container) group() (cgroups.Manager, error) {
	g := c.record.Group
	if g == nil || len(g.Paths) == 0 {
		return nil, nil
	}
	if taken, err := c.groupTaken(); err != nil || taken {
		return nil, err
	}
	config := g.Config
	if config.Resources == nil {
		config.Resources = new(cgroups.Resources)
	}
	m, err := manager.NewWithPaths(&config, g.Paths)
	if err != nil {
		return nil, fmt.Errorf("opening the control group of container %q: %w", c.record.ID, err)
	}
	return m, nil
}

// needGroup is for operations that do not work without.
func (c *Container) needGroup(what string) (cgroups.Manager, error) {
	m, err := c.group()
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("cannot %s container %q: it has no control group", what, c.record.ID)
	}
	return m, nil
}

// alwaysAllowed are devices that any container may use, whatever its rules: the
// default ones and terminals, and making nodes, of which only those can be opened.
func alwaysAllowed() []*devices.Rule {
	rule := func(kind devices.Type, major, minor int64, access string) *devices.Rule {
		return &devices.Rule{Type: kind, Major: major, Minor: minor, Permissions: devices.Permissions(access), Allow: true}
	}
	const char, block, any = devices.CharDevice, devices.BlockDevice, devices.Wildcard
	return []*devices.Rule{
		rule(char, any, any, "m"),
		rule(block, any, any, "m"),
		rule(char, 1, 3, "rwm"),     // null
		rule(char, 1, 5, "rwm"),     // zero
		rule(char, 1, 7, "rwm"),     // full
		rule(char, 1, 8, "rwm"),     // random
		rule(char, 1, 9, "rwm"),     // urandom
		rule(char, 5, 0, "rwm"),     // tty
		rule(char, 5, 1, "rwm"),     // console
		rule(char, 5, 2, "rwm"),     // ptmx
		rule(char, 136, any, "rwm"), // pts/*
	}
}
