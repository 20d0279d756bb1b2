package conmon

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// children reaps every child of the shim: the container's first process, what exec
// started, and, as the shim is a subreaper, orphans of a container that shares the
// host's PID namespace.
type children struct {
	mu    sync.Mutex // held while a child is started, so that none is reaped before it is known
	known map[int]chan unix.WaitStatus
}

// start runs f, which starts one child and returns its process id, and returns
// the channel that gets the child's end.
func (c *children) start(f func() (pid int, err error)) (<-chan unix.WaitStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := f()
	if err != nil {
		return nil, err
	}
	ended := make(chan unix.WaitStatus, 1)
	c.known[pid] = ended
	return ended, nil
}

// reap collects all that have ended. It is called for each SIGCHLD.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ok := c.known[pid]; ok {
			delete(c.known, pid)
			ended <- status
		}
	}
}

// signal sends a signal to a child that has not been reaped: under the lock its
// number cannot have come to mean another process.
func (c *children) signal(pid int, signal unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[pid]; !ok {
		return os.ErrProcessDone
	}
	return unix.Kill(pid, signal)
}

// killRest kills what is left when the container has ended: processes that were
// re-parented to the shim because they lived in the host's PID namespace.
func (c *children) killRest() {
	for _, pid := range c.orphans() {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// exitCode is Docker's: 128 + n for a process that signal n ended.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
