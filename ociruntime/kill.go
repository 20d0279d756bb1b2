package ociruntime

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ParseSignal reads a number or a name, with or without SIG.
func ParseSignal(text string) (unix.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("unknown signal %q", text)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	s := unix.SignalNum(name)
	if s == 0 {
		return 0, fmt.Errorf("unknown signal %q", text)
	}
	return s, nil
}

// Kill sends a signal to the container's first process, or to all of its processes.
func (r *Runtime) Kill(id string, signal unix.Signal, all bool) error {
	c, err := r.Open(id)
	if err != nil {
		return err
	}
	if all {
		return c.killAll(signal)
	}
	status, err := c.require("kill", specs.StateCreating, specs.StateCreated, specs.StateRunning, Paused)
	if err != nil {
		return err
	}
	pidfd, err := c.record.Process.Open()
	if err != nil {
		return err
	}
	if pidfd == nil {
		return fmt.Errorf("killing container %q: %w", id, ErrNotRunning)
	}
	defer pidfd.Close()
	if err := unix.PidfdSendSignal(int(pidfd.Fd()), signal, nil, 0); err != nil {
		return fmt.Errorf("killing container %q: %w", id, err)
	}
	if status == Paused && signal == unix.SIGKILL {
		return c.thaw() // a frozen process of cgroup v1 would die only when it is resumed
	}
	return nil
}

// killAll signals every process in the container's control group. Where it has none,
// those of the PID namespace that was made for it.
func (c *Container) killAll(signal unix.Signal) error {
	pids, err := c.processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, signal); err != nil && err != unix.ESRCH {
			return fmt.Errorf("killing process %d of container %q: %w", pid, c.record.ID, err)
		}
	}
	if signal == unix.SIGKILL && c.frozen() {
		return c.thaw()
	}
	return nil
}
