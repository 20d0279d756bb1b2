package ociruntime

import (
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Processes are the ids of all processes of a container, as this process's /proc counts.
func (r *Runtime) Processes(id string) ([]int, error) {
	c, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	return c.processes()
}

func (c *Container) processes() ([]int, error) {
	if all, err := c.endedAll(); err == nil && all {
		return nil, nil // who is in its groups now is not its own
	}
	m, err := c.group()
	if err != nil {
		return nil, err
	}
	if m != nil && m.Exists() {
		pids, err := m.GetAllPids()
		slices.Sort(pids)
		return pids, err
	}
	pidfd, err := c.record.Process.Open()
	if err != nil || pidfd == nil {
		return nil, err
	}
	defer pidfd.Close()
	spec, err := c.config()
	if err != nil {
		return []int{c.record.Process.PID}, nil // whether the others there are this container's nobody knows
	}
	for _, n := range spec.Linux.Namespaces {
		if n.Type == specs.PIDNamespace && n.Path != "" {
			return []int{c.record.Process.PID}, nil // which of the others there are this container's nobody knows
		}
	}
	return sharing(c.record.Process.PID)
}

// sharing are the processes in the PID namespace of one, or only that one where it has
// none of its own.
func sharing(pid int) ([]int, error) {
	space := func(pid int) (st unix.Stat_t, err error) {
		err = unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/pid", &st)
		return st, err
	}
	its, err := space(pid)
	if err != nil {
		// It is about to end, and nobody may look at it any more. With it end all of its namespace.
		return []int{pid}, nil
	}
	own, err := space(os.Getpid())
	if err != nil {
		return nil, err
	}
	if own.Ino == its.Ino {
		return []int{pid}, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := space(n); err == nil && st.Ino == its.Ino {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}
