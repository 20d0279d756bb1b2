package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is a container's own cgroup (cgroup v2). Its first process is moved into it
// before it executes anything, exec's processes too; the shim stays out.
type Group struct {
	Path string // absolute, below /sys/fs/cgroup
	Unit string `json:",omitempty"` // the scope that systemd made for it; "" where a subtree is delegated to us
}

// Remove ends what is left in the group and deletes it. A scope's own folder is the
// service manager's, which deletes it when the last process in it has ended.
func (g *Group) Remove() {
	if g == nil || !strings.HasPrefix(g.Path, "/sys/fs/cgroup/") || filepath.Clean(g.Path) != g.Path {
		return
	}
	RemoveGroup(g.Path)
}

// emptyLimit is how long killed processes may take to leave their group.
const emptyLimit = 2 * time.Second

// RemoveGroup kills every process in a group and in those below it, and deletes them.
// What is left after two seconds, or may not be touched, is left to a later attempt.
func RemoveGroup(folder string) {
	if unix.Rmdir(folder) == nil {
		return // mostly
	}
	killGroup(folder)
	for deadline := time.Now().Add(emptyLimit); ; {
		err := removeGroups(folder)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return
		}
		awaitEvent(folder)
	}
}

// killGroup: cgroup.kill is of 5.14, and kills those that are frozen as well.
func killGroup(folder string) {
	f, err := os.OpenFile(filepath.Join(folder, "cgroup.kill"), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	f.WriteString("1")
	f.Close()
}

// removeGroups deletes a group and, before it, those below. The names may be the
// container's, but there are no symbolic links in a cgroup file system.
func removeGroups(folder string) error {
	below, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range below {
		if entry.IsDir() {
			if err := removeGroups(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(folder)
}

// awaitEvent returns when a group has become empty, or soon (cgroup-v2.rst,
// cgroup.events: a change is announced by POLLPRI).
func awaitEvent(folder string) {
	fd, err := unix.Open(filepath.Join(folder, "cgroup.events"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, 10)
}
