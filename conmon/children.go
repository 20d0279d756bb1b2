package conmon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// children are the processes that the shim started: the container's first process
// and what exec started. Each is awaited through its pidfd in the poller, which
// takes neither a thread nor a signal handler; to set up handlers takes the
// runtime a millisecond, which a short container does not live.
type children struct {
	mu     sync.Mutex
	known  map[int]chan unix.WaitStatus
	spared []store.ProcessID // children that serve the container, and are none of its own
	coming int               // another runtime is about to leave us its children: no orphan is reaped
}

// start runs f, which starts one child and returns its process id, and returns
// the channel that gets the child's end.
func (c *children) start(f func() (pid int, err error)) (<-chan unix.WaitStatus, error) {
	pid, err := f()
	if err != nil {
		return nil, err
	}
	// Nobody else reaps it, so the number is still its own.
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, unix.WALL, nil)
		return nil, fmt.Errorf("opening process %d: %w", pid, err)
	}
	pidfd := os.NewFile(uintptr(fd), "child")
	ended := make(chan unix.WaitStatus, 1)
	c.mu.Lock()
	c.known[pid] = ended
	c.mu.Unlock()
	go func() {
		defer pidfd.Close()
		ended <- c.await(pidfd, pid)
	}()
	return ended, nil
}

// spare keeps a child from being taken for an orphan of the container.
func (c *children) spare(pid int) error {
	id, err := store.Identify(pid)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spared = append(slices.DeleteFunc(c.spared, func(id store.ProcessID) bool { return !isStill(id) }), id)
	return nil
}

// expect keeps what another runtime leaves behind from being taken for orphans, until
// done is called, when it has been adopted.
func (c *children) expect() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.coming++
	return func() {
		c.mu.Lock()
		c.coming--
		c.mu.Unlock()
		c.reapOrphans()
	}
}

// await reaps a child when it has ended.
func (c *children) await(pidfd *os.File, pid int) (status unix.WaitStatus) {
	raw, err := pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(func(uintptr) bool { return c.reap(pid, &status, unix.WNOHANG) })
	}
	if err != nil { // no poller for it: a thread waits
		c.reap(pid, &status, 0)
	}
	return status
}

// reap tells whether the child has ended and is reaped.
func (c *children) reap(pid int, status *unix.WaitStatus, flags int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		got, err := unix.Wait4(pid, status, flags|unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && got == 0 {
			return false
		}
		delete(c.known, pid)
		return true
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

// has tells whether a child has not been reaped: its number is its own still.
func (c *children) has(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.known[pid]
	return ok
}

// exitCode is Docker's: 128 + n for a process that signal n ended.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
