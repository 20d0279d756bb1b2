package conmon

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// A container in the host's PID namespace has no init of its own that would take
// its orphans and end them. The shim is their reaper then (prctl(2),
// PR_SET_CHILD_SUBREAPER): the end of the container is the end of all.

// adoptOrphans makes the shim the reaper. It comes before the container's start.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming the reaper of orphans: %w", err)
	}
	return nil
}

// killOrphans ends what is left when the container's first process has exited,
// and what those leave in turn.
func (c *children) killOrphans() {
	for range 1000 { // a fork bomb that outruns us is left to the next signal
		pids := c.orphans()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
			unix.Wait4(pid, nil, unix.WALL, nil)
		}
	}
}

// reapOrphans collects those that have ended.
func (c *children) reapOrphans() {
	for _, pid := range c.orphans() {
		unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
	}
}

// orphans lists the children that the shim neither started nor spares; none while some
// are about to be adopted, which cannot be told from them.
func (c *children) orphans() (pids []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.coming > 0 {
		return nil
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	for _, thread := range threads {
		list, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/children", thread.Name()))
		if err != nil {
			continue
		}
		for _, text := range strings.Fields(string(list)) {
			pid, err := strconv.Atoi(text)
			if _, known := c.known[pid]; err == nil && !known && !c.spares(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// spares tells whether a child is spared. The caller holds the lock.
func (c *children) spares(pid int) bool {
	return slices.ContainsFunc(c.spared, func(id store.ProcessID) bool { return id.PID == pid && isStill(id) })
}

func isStill(id store.ProcessID) bool {
	now, err := store.Identify(id.PID)
	return err == nil && now == id
}
