package oci

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// enterRoot makes the root file system a mount of its own and returns it. All
// mounts of this namespace become slaves first: what the container does must not
// reach the host, while what the host unmounts must go here too. Private mounts
// would keep every disk of the host busy for the container's life.
//
// A tree that was passed is put over "/": its path may lead nowhere for this user. Where
// the namespace is not the container's own, nothing but the new mount is touched.
func enterRoot(rootfs string, passed []int, own bool) (root, error) {
	none := root{-1}
	if own {
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return none, fmt.Errorf("cutting the mounts off from the host's: %w", err)
		}
	}
	if len(passed) > 0 {
		target, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return none, fmt.Errorf("opening the old root: %w", err)
		}
		defer unix.Close(target)
		if err := attach(passed[0], target); err != nil {
			return none, fmt.Errorf("mounting the root file system: %w", err)
		}
		return root{passed[0]}, nil
	}
	tree, err := cloneTree(unix.AT_FDCWD, rootfs, true)
	if err != nil {
		return none, fmt.Errorf("opening the root file system %q: %w", rootfs, err)
	}
	target, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return none, fmt.Errorf("opening the root file system %q: %w", rootfs, err)
	}
	defer unix.Close(target)
	// pivot_root(2) wants a mount point; the clone is one wherever the directory lies.
	if err := attach(tree, target); err != nil {
		return none, fmt.Errorf("mounting the root file system: %w", err)
	}
	return root{tree}, nil
}

// pivot makes the root file system "/" and lets go of everything else.
//
// pivot_root(".", ".") stacks the old root on the new one, so that no directory is
// needed to put it (pivot_root(2), NOTES). The old one is a slave since enterRoot,
// else its unmounting would spread to the host.
func (r root) pivot() error {
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the old root: %w", err)
	}
	defer unix.Close(old)
	if err := unix.Fchdir(r.fd); err != nil {
		return fmt.Errorf("entering the root file system: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Fchdir(old); err != nil {
		return fmt.Errorf("entering the old root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	return nil
}

// change makes the root file system "/" for this process alone: by chroot(2), where
// the namespace of mounts is not the container's own, or where the host's root cannot
// be pivoted. With move it takes the place of the old root, so that it cannot be left.
func (r root) change(move bool) error {
	if err := unix.Fchdir(r.fd); err != nil {
		return fmt.Errorf("entering the root file system: %w", err)
	}
	if move {
		if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving the root file system: %w", err)
		}
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	return nil
}

// hide makes the masked paths empty and the read-only paths read-only. A path that
// does not exist needs neither. It is done before pivot, as the host's /dev/null
// can be cloned only while this namespace still has it.
func (m *mounter) hide(masked, readonly []string) error {
	for _, name := range readonly {
		if err := m.readonly(name); err != nil {
			return fmt.Errorf("making %q read-only: %w", name, err)
		}
	}
	empty := -1
	defer func() {
		if empty >= 0 {
			unix.Close(empty)
		}
	}()
	for _, name := range masked {
		if err := m.mask(name, &empty); err != nil {
			return fmt.Errorf("masking %q: %w", name, err)
		}
	}
	return nil
}

func (m *mounter) readonly(name string) error {
	fd, err := m.root.find(name)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	tree, err := cloneTree(fd, "", true)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return attach(tree, fd, change{attributes: attributes{Set: unix.MOUNT_ATTR_RDONLY}, recursive: true})
}

// mask covers a file by /dev/null and a directory by an empty one. All directories
// share one empty file system: making it is the dear part.
func (m *mounter) mask(name string, empty *int) error {
	fd, err := m.root.find(name)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	dir, err := isDir(fd)
	if err != nil {
		return err
	}
	var tree int
	var keep change
	switch {
	case !dir:
		tree, err = cloneTree(m.null, "", false)
		keep.Set = nodeAttributes
	case *empty >= 0:
		tree, err = cloneTree(*empty, "", false)
	default:
		tree, err = newFilesystem(&mountConfig{Type: "tmpfs", Source: "tmpfs", Attributes: attributes{
			Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}},
			[]string{"mode=555"})
	}
	if err != nil {
		return err
	}
	if err := attach(tree, fd, keep); err != nil {
		unix.Close(tree)
		return err
	}
	if dir && *empty < 0 {
		*empty = tree
	} else {
		unix.Close(tree)
	}
	return nil
}

// lock makes the root itself read-only, when nothing is left to be made in it.
// What is mounted beneath keeps its own ways.
func (r root) lock() error {
	if err := (change{attributes: attributes{Set: unix.MOUNT_ATTR_RDONLY}}).settle(r.fd); err != nil {
		return fmt.Errorf("making the root read-only: %w", err)
	}
	return nil
}

// propagate sets the root's propagation, after pivot: pivot_root(2) refuses a shared root.
func propagate(kind uint64, beneath bool) error {
	if beneath {
		kind |= unix.MS_REC
	}
	if err := unix.Mount("", "/", "", uintptr(kind), ""); err != nil {
		return fmt.Errorf("setting the root's propagation: %w", err)
	}
	return nil
}
