package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"golang.org/x/sys/unix"
)

// endLimit is how long a killed process may take to end.
const endLimit = 10 * time.Second

// Delete removes a container that has stopped, or was never started. With force one
// that runs is killed, and one that does not exist is no error.
func (r *Runtime) Delete(id string, force bool) error {
	unlock, err := r.lock(id)
	if force && errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.Open(id)
	if errors.Is(err, ErrNotFound) && force {
		// A create was killed before there was a process.
		return (&Container{runtime: r, record: record{ID: id}}).remove()
	}
	if err != nil && force {
		r.warn("%v: its folder is deleted, but what it may have left is not known", err)
		return (&Container{runtime: r, record: record{ID: id}}).remove()
	}
	if err != nil {
		return err
	}
	if !force {
		if _, err := c.require("delete", specs.StateStopped, specs.StateCreated, specs.StateCreating); err != nil {
			return err
		}
	}
	return c.delete()
}

func (c *Container) delete() error {
	if err := c.end(); err != nil {
		return err
	}
	spec, configErr := c.config()
	if err := c.remove(); err != nil {
		return err
	}
	if configErr == nil && spec.Hooks != nil {
		// Each is run, and one that fails is no error (runtime-spec, "Poststop").
		for _, h := range spec.Hooks.Poststop {
			if err := oci.RunHooks("poststop", []specs.Hook{h}, c.hookState(specs.StateStopped)); err != nil {
				c.runtime.warn("%v", err)
			}
		}
	}
	return nil
}

// end kills what is left of the container and waits for it.
func (c *Container) end() error {
	pidfd, err := c.record.Process.Open()
	if err != nil {
		return err
	}
	if pidfd != nil {
		pidfd.Close()
		if err := c.killAll(unix.SIGKILL); err != nil {
			return err
		}
		if err := c.record.Process.KillAndWait(endLimit); err != nil {
			return err
		}
	}
	// The first process has ended, and with it all of its PID namespace. Without one of its
	// own others may be left, and may start more for as long as they are not frozen.
	for deadline := time.Now().Add(endLimit); ; time.Sleep(5 * time.Millisecond) {
		pids, err := c.processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("deleting container %q: processes %v do not end", c.record.ID, pids)
		}
		if m, err := c.group(); err == nil && m != nil {
			m.Freeze(cgroups.Frozen) // without a freezer the next round may find more
		}
		if err := c.killAll(unix.SIGKILL); err != nil { // and thaws them
			return err
		}
	}
}

// remove takes away what create made on the host.
func (c *Container) remove() error {
	m, err := c.group()
	if err != nil {
		return err
	}
	if m != nil && !c.inhabited(m) {
		if err := m.Destroy(); err != nil {
			return fmt.Errorf("deleting the control group of container %q: %w", c.record.ID, err)
		}
	}
	if c.record.Shared && c.record.Rootfs != "" {
		// The mounts were made where the runtime lives. EINVAL: nothing is mounted there any more.
		if err := unix.Unmount(c.record.Rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			c.runtime.warn("unmounting %s: %v", c.record.Rootfs, err)
		}
	}
	if err := os.RemoveAll(c.path(".")); err != nil {
		return fmt.Errorf("deleting container %q: %w", c.record.ID, err)
	}
	return nil
}
