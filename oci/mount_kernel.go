package oci

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hostPlace is where the host shows the file systems that are views of a namespace,
// and the namespace each is a view of.
var hostPlace = map[string]struct {
	path      string
	namespace uintptr
}{
	"proc":   {"/proc", unix.CLONE_NEWPID},
	"sysfs":  {"/sys", unix.CLONE_NEWNET},
	"mqueue": {"/dev/mqueue", unix.CLONE_NEWIPC},
}

// kernel mounts proc, sysfs or mqueue. The kernel lets root of a user namespace
// mount the view of a namespace which that user namespace owns, and no other: for
// a namespace of the host, the container gets the host's own mount, with all that
// is mounted beneath, as what hides parts of it must not be left behind.
func (m *mounter) kernel(c *mountConfig) error {
	target, err := m.target(c.Destination, false)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	place := hostPlace[c.Type]
	tree, err := newFilesystem(c, c.Data)
	if err == nil {
		defer unix.Close(tree)
		return attach(tree, target)
	}
	if err != unix.EPERM {
		return err
	}
	if c.Type == "proc" && m.created&place.namespace != 0 {
		// The namespace is ours, so it is the rule that nothing may be revealed which
		// an outer container has masked in its own /proc.
		return because(err, "start skiff outside that container, or unmask its /proc (docker run --security-opt systempaths=unconfined)", "an outer container hides parts of /proc")
	}
	tree, err = cloneTree(unix.AT_FDCWD, place.path, true)
	if c.Type == "mqueue" && err == unix.ENOENT {
		return nil // the host shows no queues, so the container sees none of the host's
	}
	if err != nil {
		return fmt.Errorf("opening the host's %s: %w", place.path, err)
	}
	defer unix.Close(tree)
	wanted := attributes{Set: c.Attributes.Set | c.Beneath.Set}
	// Slave, not private: what the host unmounts in its /sys must go here as well, or
	// every container would keep it busy.
	return attach(tree, target, change{attributes: wanted, recursive: true, propagation: unix.MS_SLAVE})
}

// hostCgroups is where the host shows its control groups.
const hostCgroups = "/sys/fs/cgroup"

// cgroup shows the container its control groups: the part below its own where it
// has a cgroup namespace, else what the host shows.
func (m *mounter) cgroup(c *mountConfig) error {
	fd, err := unix.Open(hostCgroups, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil // a host without control groups
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if isFilesystem(fd, unix.CGROUP2_SUPER_MAGIC) {
		tree, err := m.cgroup2(c, fd)
		if err != nil {
			return err
		}
		defer unix.Close(tree)
		return m.placeKernel(c, tree)
	}
	return m.hybrid(c, fd)
}

// cgroup2 returns a detached mount of the unified hierarchy.
func (m *mounter) cgroup2(c *mountConfig, host int) (int, error) {
	tree, err := newFilesystem(&mountConfig{Type: "cgroup2", Source: "cgroup", Attributes: c.Attributes, Beneath: c.Beneath}, nil)
	if err == unix.EPERM {
		return cloneTree(host, "", true)
	}
	return tree, err
}

func (m *mounter) placeKernel(c *mountConfig, tree int) error {
	target, err := m.root.ensure(c.Destination, false)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	wanted := attributes{Set: c.Attributes.Set | c.Beneath.Set}
	return attach(tree, target, change{attributes: wanted, recursive: true, propagation: unix.MS_SLAVE})
}

// hybrid is for hosts on which the controllers still have hierarchies of version 1,
// of which nothing is delegated to users. The container sees the usual layout with
// the one part of it that is its own, the unified hierarchy, and the others only where
// a runtime was asked for them.
func (m *mounter) hybrid(c *mountConfig, host int) error {
	shell := &mountConfig{Destination: c.Destination, Type: "tmpfs", Source: "cgroup",
		Attributes: attributes{Set: c.Attributes.Set &^ unix.MOUNT_ATTR_RDONLY}}
	if err := m.filesystemMode(shell, "mode=755"); err != nil {
		return err
	}
	if unified, err := unix.Openat(host, "unified", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(unified)
		if isFilesystem(unified, unix.CGROUP2_SUPER_MAGIC) {
			tree, err := m.cgroup2(c, unified)
			if err != nil {
				return err
			}
			defer unix.Close(tree)
			inner := *c
			inner.Destination = c.Destination + "/unified"
			if err := m.placeKernel(&inner, tree); err != nil {
				return err
			}
		}
	}
	if m.allCgroups {
		if err := m.legacy(c, host); err != nil {
			return err
		}
	}
	fd, err := m.root.find(c.Destination)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return change{attributes: c.Attributes}.settle(fd)
}

func (m *mounter) filesystemMode(c *mountConfig, mode string) error {
	c.Data = []string{mode}
	return m.filesystem(c)
}
