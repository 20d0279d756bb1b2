package oci

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchy is one of version 1's on the host (Documentation/admin-guide/cgroup-v1).
type hierarchy struct {
	name    string   // of its folder
	options []string // its controllers, or name=…
}

// hierarchies are those below a folder, as mountinfo tells them (proc(5)).
func hierarchies(folder string) ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	var all []hierarchy
	for line := range strings.Lines(string(data)) {
		mount, fs, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(mount), strings.Fields(fs)
		if !ok || len(fields) < 5 || len(kind) < 3 || kind[0] != "cgroup" {
			continue
		}
		name, ok := strings.CutPrefix(unescape(fields[4]), folder+"/")
		if !ok || strings.Contains(name, "/") {
			continue
		}
		h := hierarchy{name: name}
		for option := range strings.SplitSeq(kind[2], ",") {
			switch {
			case option == "rw", option == "ro", option == "xattr", strings.HasPrefix(option, "release_agent="):
			case strings.HasPrefix(option, "name="):
				h.options = append(h.options, "none", option)
			default:
				h.options = append(h.options, option)
			}
		}
		all = append(all, h)
	}
	return all, nil
}

// legacy mounts the hierarchies of version 1 below a tmpfs that is there already, each
// from the container's own group down, and links the controllers that share one.
func (m *mounter) legacy(c *mountConfig, host int) error {
	all, err := hierarchies(hostCgroups)
	if err != nil {
		return err
	}
	for _, h := range all {
		tree, err := m.openHierarchy(c, h)
		if err != nil {
			return fmt.Errorf("opening %s/%s: %w", hostCgroups, h.name, err)
		}
		if tree < 0 {
			continue
		}
		inner := *c
		inner.Destination = c.Destination + "/" + h.name
		err = m.placeKernel(&inner, tree)
		unix.Close(tree)
		if err != nil {
			return err
		}
		for _, controller := range h.options {
			if controller == h.name || strings.Contains(controller, "=") || controller == "none" {
				continue
			}
			if err := m.linkController(c, host, controller, h.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// openHierarchy returns a detached mount: a new one where the cgroup namespace is the
// container's own, whose root is its group; else the part of the host's. -1 is one that
// cannot be had.
func (m *mounter) openHierarchy(c *mountConfig, h hierarchy) (int, error) {
	if m.created&unix.CLONE_NEWCGROUP != 0 {
		tree, err := newFilesystem(&mountConfig{Type: "cgroup", Source: "cgroup", Attributes: c.Attributes, Beneath: c.Beneath}, h.options)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
			return -1, nil
		}
		return tree, err
	}
	group, err := ownGroup(h)
	if err != nil {
		return -1, err
	}
	tree, err := cloneTree(unix.AT_FDCWD, hostCgroups+"/"+h.name+group, true)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil
	}
	return tree, err
}

// ownGroup is this process's group in a hierarchy (cgroups(7), /proc/pid/cgroup).
func ownGroup(h hierarchy) (string, error) {
	data, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			for _, option := range h.options {
				if controller != "" && controller == option {
					return strings.TrimSuffix(parts[2], "/"), nil
				}
			}
		}
	}
	return "", nil
}

// linkController makes "cpu" lead to "cpu,cpuacct", where the host has such a link.
func (m *mounter) linkController(c *mountConfig, host int, name, target string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(host, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return nil
	}
	dir, err := m.root.find(c.Destination)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Symlinkat(target, dir, name); err != nil && err != unix.EEXIST {
		return fmt.Errorf("linking %s: %w", name, err)
	}
	return nil
}
