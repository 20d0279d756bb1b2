package ociruntime

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
)

// Start has the process of a created container execute its program. It returns when
// that has happened, and the poststart hooks were run.
func (r *Runtime) Start(id string) error {
	c, unlock, err := r.hold(id)
	if err != nil {
		return err
	}
	err = c.start()
	unlock() // the container runs, and its hooks may call the runtime
	if err != nil {
		return err
	}
	return c.poststart()
}

func (c *Container) start() error {
	if _, err := c.require("start", specs.StateCreated); err != nil {
		return err
	}
	spec, err := c.config()
	if err != nil {
		return err
	}
	conn, err := c.dial()
	if err != nil {
		return err
	}
	if conn == nil {
		return fmt.Errorf("starting container %q: %w", c.record.ID, ErrNotRunning)
	}
	defer conn.Close()
	if c.record.Notify {
		err = oci.ReleaseTo(conn, func(listener *os.File) error {
			return sendListener(spec.Linux.Seccomp, c.hookState(specs.StateCreated), listener, c.record.Process.PID)
		})
	} else {
		err = oci.Release(conn)
	}
	os.Remove(c.path(fileStart))
	return err
}

// poststart runs the hooks of a container that was started.
func (c *Container) poststart() error {
	spec, err := c.config()
	if err != nil {
		return err
	}
	if h := spec.Hooks; h != nil {
		if err := oci.RunHooks("poststart", h.Poststart, c.hookState(specs.StateRunning)); err != nil {
			// The lifecycle goes on with the end of the container (runtime-spec, step 9).
			c.record.Process.KillAndWait(10 * time.Second)
			return err
		}
	}
	return nil
}

// hookState is what hooks are told.
func (c *Container) hookState(status specs.ContainerState) *specs.State {
	l := oci.Launch{Spec: c.spec, ID: c.record.ID, Bundle: c.record.Bundle}
	pid := c.record.Process.PID
	if status == specs.StateStopped {
		pid = 0
	}
	return l.State(pid, status)
}

// sendListener hands a filter's listener to the supervisor (runtime-spec, "Container
// Process State").
func sendListener(s *specs.LinuxSeccomp, state *specs.State, listener *os.File, pid int) error {
	body, err := json.Marshal(&specs.ContainerProcessState{Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: pid,
		Metadata: s.ListenerMetadata, State: *state})
	if err != nil {
		return fmt.Errorf("describing the container to the supervisor: %w", err)
	}
	return sendDescriptor(s.ListenerPath, body, listener)
}
