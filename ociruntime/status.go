package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Paused is a status beside those of the runtime spec, which allows more.
const Paused specs.ContainerState = "paused"

// State is what the command `state` prints: the runtime spec's, and what runc adds.
type State struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}

// State asks the kernel how the container is.
func (c *Container) State() (*State, error) {
	status, err := c.status()
	if err != nil {
		return nil, err
	}
	spec, err := c.config()
	if err != nil {
		return nil, err
	}
	s := &State{Rootfs: c.record.Rootfs, Created: c.record.Created, Owner: c.record.Owner, State: specs.State{Version: specs.Version,
		ID: c.record.ID, Status: status, Bundle: c.record.Bundle, Annotations: spec.Annotations}}
	if status != specs.StateStopped {
		s.Pid = c.record.Process.PID
	}
	return s, nil
}

func (c *Container) status() (specs.ContainerState, error) {
	pidfd, err := c.record.Process.Open()
	if err != nil {
		return "", err
	}
	if pidfd == nil {
		return specs.StateStopped, nil
	}
	pidfd.Close()
	if c.record.Creating {
		return specs.StateCreating, nil
	}
	waiting, err := c.waiting()
	switch {
	case err != nil:
		return "", err
	case waiting:
		return specs.StateCreated, nil
	case c.frozen():
		return Paused, nil
	}
	return specs.StateRunning, nil
}

// waiting tells whether the first process waits for its start: whether somebody
// listens at its socket.
func (c *Container) waiting() (bool, error) {
	conn, err := c.dial()
	if err != nil {
		return false, err
	}
	if conn == nil {
		return false, nil
	}
	conn.Close() // without a word: it goes on waiting
	return true, nil
}

// dial connects to the first process, nil where it does not wait any longer.
func (c *Container) dial() (*os.File, error) {
	dir, err := os.Open(c.path("."))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	for {
		err = unix.Connect(fd, socketAddress(dir))
		if err != unix.EINTR {
			break
		}
	}
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), fileStart), nil
	case unix.ENOENT, unix.ECONNREFUSED:
		unix.Close(fd)
		return nil, nil
	}
	unix.Close(fd)
	return nil, fmt.Errorf("asking the container's first process: %w", err)
}

// listen makes the socket of a container that is being created.
func listen(dir *os.File) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		if err = unix.Bind(fd, socketAddress(dir)); err == nil {
			err = unix.Listen(fd, 8)
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("making the socket for the start: %w", err)
	}
	return os.NewFile(uintptr(fd), fileStart), nil
}

// socketAddress reaches the socket through its folder's descriptor, as an address has
// room for 108 bytes only (unix(7)).
func socketAddress(dir *os.File) unix.Sockaddr {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), fileStart)}
}

func (c *Container) frozen() bool {
	m, err := c.group()
	if err != nil || m == nil {
		return false
	}
	state, err := m.GetFreezerState()
	return err == nil && state == cgroups.Frozen
}

// require is the guard at the door of an operation.
func (c *Container) require(what string, allowed ...specs.ContainerState) (specs.ContainerState, error) {
	status, err := c.status()
	if err != nil {
		return "", err
	}
	if slices.Contains(allowed, status) {
		return status, nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	err = fmt.Errorf("cannot %s container %q: it is %s, not %s", what, c.record.ID, status, strings.Join(words, " or "))
	if status == specs.StateStopped {
		err = fmt.Errorf("%w: %w", err, ErrNotRunning)
	}
	return "", err
}

// List returns all containers, by their ids. One that is just being created or deleted is left out.
func (r *Runtime) List() ([]*State, error) {
	opened, err := r.opened()
	if err != nil {
		return nil, err
	}
	all := []*State{}
	for _, c := range opened {
		if s, err := c.State(); err == nil {
			all = append(all, s)
		}
	}
	return all, nil
}

// opened are all containers that have a readable state.
func (r *Runtime) opened() ([]*Container, error) {
	if err := r.refuseForeign(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(r.Root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var all []*Container
	for _, e := range entries {
		if c, err := r.Open(e.Name()); err == nil {
			all = append(all, c)
		}
	}
	return all, nil
}
