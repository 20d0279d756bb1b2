package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// The files of a container's folder.
const (
	fileState   = "state.json"
	fileConfig  = "config.json" // the spec as it was at create: later changes of the bundle have no effect
	fileSeccomp = "seccomp.bpf" // the compiled filter, for exec
	fileStart   = "start.sock"  // where the first process waits to be started
)

// record is state.json.
type record struct {
	ID      string          `json:"id"`
	Bundle  string          `json:"bundle"`
	Rootfs  string          `json:"rootfs"`
	Created time.Time       `json:"created"`
	Owner   string          `json:"owner"`
	Process store.ProcessID `json:"process"`
	// Creating says that create is still at work: the first process may have the host's root.
	Creating bool         `json:"creating,omitempty"`
	Group    *groupRecord `json:"cgroup,omitempty"`
	// Shared says that the mounts lie in the runtime's own namespace and are to be undone.
	Shared bool `json:"sharedMounts,omitempty"`
	// Notify says that the filter has a listener.
	Notify bool `json:"notify,omitempty"`
}

// groupRecord is what opens the container's control groups again.
type groupRecord struct {
	Config cgroups.Cgroup    `json:"config"`
	Paths  map[string]string `json:"paths"`
}

// Container is one that create has made.
type Container struct {
	runtime *Runtime
	record  record
	spec    *specs.Spec // nil until asked for
}

func (r *Runtime) folder(id string) string { return filepath.Join(r.Root, id) }

func (c *Container) path(name string) string {
	return filepath.Join(c.runtime.folder(c.record.ID), name)
}

// ID is the name that create was given.
func (c *Container) ID() string { return c.record.ID }

// Open finds a container.
func (r *Runtime) Open(id string) (*Container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := r.refuseForeign(); err != nil {
		return nil, err
	}
	c := &Container{runtime: r}
	err := store.ReadJSON(filepath.Join(r.folder(id), fileState), &c.record)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("container %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of container %q: %w", id, err)
	}
	return c, nil
}

func (c *Container) save() error {
	return store.WriteJSON(c.path(fileState), &c.record, store.Fleeting)
}

// config is the spec as it was at create.
func (c *Container) config() (*specs.Spec, error) {
	if c.spec == nil {
		s := new(specs.Spec)
		if err := store.ReadJSON(c.path(fileConfig), s); err != nil {
			return nil, fmt.Errorf("reading the config of container %q: %w", c.record.ID, err)
		}
		c.spec = s
	}
	return c.spec, nil
}

// lock makes this the only command that changes the container. The hooks of create run while
// it is held, so commands that only look, or send signals, do without, and others, which may be
// called by such a hook, do not wait for a create whose hooks may have begun.
func (r *Runtime) lock(id string) (unlock func(), err error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := r.refuseForeign(); err != nil {
		return nil, err
	}
	for {
		dir, err := os.Open(r.folder(id))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("container %q: %w", id, ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		if err := r.lockFolder(dir, id); err != nil {
			dir.Close()
			return nil, fmt.Errorf("locking container %q: %w", id, err)
		}
		// It may have been deleted, and even made anew, while the lock was waited for.
		held, err := dir.Stat()
		if err == nil {
			var now os.FileInfo
			if now, err = os.Stat(r.folder(id)); err == nil && os.SameFile(held, now) {
				return func() { dir.Close() }, nil
			}
		}
		dir.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// hold is lock and Open.
func (r *Runtime) hold(id string) (c *Container, unlock func(), err error) {
	if unlock, err = r.lock(id); err != nil {
		return nil, nil, err
	}
	if c, err = r.Open(id); err != nil {
		unlock()
		return nil, nil, err
	}
	return c, unlock, nil
}

// lockFolder locks a container's folder.
func (r *Runtime) lockFolder(dir *os.File, id string) error {
	err := flock(dir, unix.LOCK_EX|unix.LOCK_NB)
	if err != unix.EWOULDBLOCK {
		return err
	}
	if c, err := r.Open(id); err == nil && c.record.Creating {
		return errCreating
	}
	return flock(dir, unix.LOCK_EX)
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
