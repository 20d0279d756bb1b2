package ociruntime

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"golang.org/x/sys/unix"
)

// ExecOptions say how a further process is started.
type ExecOptions struct {
	// Process makes it from that of the container's config.
	Process func(of *specs.Process) (*specs.Process, error)
	Stdio   [3]*os.File
	ProcessOptions
	Detach       bool   // it outlives the runtime
	Cgroup       string // beneath the container's own, or ""
	IgnorePaused bool
}

// Exec starts a further process in a container that runs.
func (r *Runtime) Exec(id string, o *ExecOptions) (*oci.Started, error) {
	c, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	allowed := []specs.ContainerState{specs.StateCreated, specs.StateRunning}
	if o.IgnorePaused {
		allowed = append(allowed, Paused)
	}
	if _, err := c.require("exec in", allowed...); err != nil {
		return nil, err
	}
	spec, err := c.config()
	if err != nil {
		return nil, err
	}
	process, err := o.Process(spec.Process)
	if err != nil {
		return nil, err
	}
	r.settleProcess(process)
	if err := checkLabels(process); err != nil {
		return nil, err
	}
	if o.Detach {
		if err := o.checkConsole(process); err != nil {
			return nil, err
		}
	}
	pidfd, err := c.record.Process.Open()
	if err != nil {
		return nil, err
	}
	if pidfd == nil {
		return nil, fmt.Errorf("container %q: %w", id, ErrNotRunning)
	}
	defer pidfd.Close()
	return c.exec(o, process, pidfd)
}

func (c *Container) exec(o *ExecOptions, process *specs.Process, init *os.File) (*oci.Started, error) {
	kept, err := o.preserved()
	if err != nil {
		return nil, err
	}
	defer closeAll(kept)
	socketActivation(process, o.Preserve)
	o.sizeTerminal(process)
	filter, err := c.filter()
	if err != nil {
		return nil, err
	}
	pid := 0
	e := &oci.Exec{Init: init, Process: process, Seccomp: filter.Program, Stdio: o.Stdio, Outlives: o.Detach,
		Extras: oci.Extras{Program: stages(), Preserve: kept, FilterFlags: filter.Flags, Notify: filter.Notify, Listener: func(listener *os.File) error {
			return sendListener(c.spec.Linux.Seccomp, c.hookState(specs.StateRunning), listener, pid)
		}},
		Created: func(id int) error {
			pid = id
			if err := c.enter(o, process, id); err != nil {
				return err
			}
			return c.ownPipes(o.Stdio, process, id)
		},
	}
	started, err := e.Start()
	if err != nil {
		return nil, err
	}
	if err := o.handOver(started, started.Process.PID); err != nil {
		unix.Kill(started.Process.PID, unix.SIGKILL)
		return nil, err
	}
	return started, nil
}

// enter puts a new process where the container's others are.
func (c *Container) enter(o *ExecOptions, process *specs.Process, pid int) error {
	if a := process.ExecCPUAffinity; a != nil {
		if err := oci.SetCPUs(pid, a.Initial); err != nil {
			return err
		}
	}
	m, err := c.group()
	if err != nil || m == nil {
		if o.Cgroup != "" && err == nil {
			err = fmt.Errorf("container %q has no control group", c.record.ID)
		}
		return err
	}
	if err := m.AddPid(o.Cgroup, pid); err != nil {
		return fmt.Errorf("entering the container's control group: %w", err)
	}
	return nil
}

// SplitUser reads UID[:GID] for exec.
func SplitUser(text string, u *specs.User) error {
	var uid, gid uint32
	n, err := fmt.Sscanf(text, "%d:%d", &uid, &gid)
	if n == 0 || n == 1 && text != fmt.Sprint(uid) {
		return errors.Join(fmt.Errorf("user %q is not UID or UID:GID", text), err)
	}
	u.UID = uid
	if n == 2 {
		u.GID = gid
	}
	return nil
}
