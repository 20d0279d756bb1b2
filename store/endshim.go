package store

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// EndShim kills the shim of a container whose state cannot be read, with all that descends from
// it, and waits for their end. Who they are live/ tells. Where no shim has the container it does nothing.
func (c *Container) EndShim(limit time.Duration) error {
	live, err := c.store.Live()
	if err != nil {
		return err
	}
	shim := live[c.ID]
	pidfd, err := shim.Open()
	if err != nil || pidfd == nil {
		return err
	}
	pidfd.Close()
	family := append([]ProcessID{shim}, descendants(shim.PID)...) // it first, or it would start what its policy says
	for _, p := range family {
		if err := p.KillAndWait(limit); err != nil {
			return err
		}
	}
	c.store.Leave(c.ID)
	return nil
}

// descendants are the children of a process, and theirs (proc_pid_children(5)).
func descendants(pid int) (all []ProcessID) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, name := range lists {
		list, _ := os.ReadFile(name)
		for _, text := range strings.Fields(string(list)) {
			child, err := strconv.Atoi(text)
			if err != nil {
				continue
			}
			if id, err := Identify(child); err == nil {
				all = append(append(all, id), descendants(child)...)
			}
		}
	}
	return all
}
