package conmon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// The shim's part of the container's cgroup. It is made and limited by the command
// that starts the container (package cgroup), which knows about service managers; here
// its stages are let into it, and it is frozen, watched and cleared away.

// meetGroup hears which cgroup the container has, before anything is forked: a
// service manager moves this process into a scope, and a child that was there already
// would stay behind. While it is on its way the root file system is mounted, which is
// else done beside the start of the init stage.
func (s *shim) meetGroup(l *life) error {
	if !s.setup.Grouped {
		return nil
	}
	if s.setup.Stack.Driver == store.Overlay && !readable(s.control) { // other drivers may fork
		if err := s.mount(l); err != nil {
			return err
		}
	}
	k, body, files, err := s.control.Recv()
	wire.CloseAll(files)
	if err != nil {
		return fmt.Errorf("waiting for the container's cgroup: %w", err)
	}
	if k != kindGroup {
		return fmt.Errorf("waiting for the container's cgroup: unexpected message %d", k)
	}
	group, err := wire.Decode[store.Group](body)
	if err != nil {
		return err
	}
	if group.Path != "" {
		s.state.Cgroup = &group
	}
	return nil
}

// readable tells whether a message, or the end, has arrived.
func readable(c *wire.Conn) (arrived bool) {
	c.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		arrived = err == nil && n > 0
	})
	return arrived
}

// openGroup opens the door to the container's cgroup, by which a stage enters; nil
// where there is none. Where the container has made groups of its own there, as an
// init system does, the kernel allows no process in it; that of its first process is
// taken then, which is 0 for that one itself.
func (s *shim) openGroup(first int) (*os.File, error) {
	if s.state.Cgroup == nil {
		return nil, nil
	}
	folder := s.state.Cgroup.Path
	if first != 0 {
		if on, err := os.ReadFile(filepath.Join(folder, "cgroup.subtree_control")); err == nil && len(on) > 1 {
			if of, err := groupOf(first); err == nil && strings.HasPrefix(of, folder+"/") {
				folder = of
			}
		}
	}
	procs, err := os.OpenFile(filepath.Join(folder, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the container's cgroup: %w", err)
	}
	return procs, nil
}

// groupOf returns the folder of a process's cgroup (cgroups(7), /proc/PID/cgroup).
func groupOf(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if group, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return filepath.Join("/sys/fs/cgroup", group), nil
		}
	}
	return "", unix.ENOENT
}

// writeGroup sets a cgroup's file. Nothing is created.
func writeGroup(folder, name, value string) error {
	fd, err := unix.Open(filepath.Join(folder, name), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(folder, name), Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return &os.PathError{Op: "write", Path: filepath.Join(folder, name), Err: err}
	}
	return nil
}

// leaveGroup clears the container's cgroup away.
func (s *shim) leaveGroup() {
	s.state.Cgroup.Remove()
	s.state.Cgroup = nil
}

// readCount reads one number of a file of keys and values, such as memory.events.
func readCount(folder, name, key string) (n uint64) {
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if text, ok := bytes.CutPrefix(line, []byte(key+" ")); ok {
			n, _ = strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
		}
	}
	return n
}

// memory watches what the kernel does for want of memory in one life.
type memory struct {
	folder string // the cgroup's, or "" for none
	before uint64 // kills that it had counted before

	mu    sync.Mutex
	told  bool
	over  bool
	watch *os.File // nil before there is one
}

// noteOOM records whether the kernel has killed in the life that ends, and ends the watch.
func (s *shim) noteOOM(l *life) {
	s.state.OOMKilled = s.tellOOM(&l.memory)
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	l.memory.over = true
	if l.memory.watch != nil {
		l.memory.watch.Close()
	}
}

// kills is how many processes the kernel has ended for want of memory since the
// cgroup was made (cgroup-v2.rst, memory.events).
func (m *memory) kills() uint64 {
	if m.folder == "" {
		return 0
	}
	return readCount(m.folder, "memory.events", "oom_kill")
}

// countOOM begins the count of a life, before its first process enters the cgroup.
func (s *shim) countOOM(l *life) {
	if s.state.Cgroup != nil {
		l.memory.folder = s.state.Cgroup.Path
		l.memory.before = l.memory.kills()
	}
}

// tellOOM tells of the first kill of a life, once, and whether there was one.
func (s *shim) tellOOM(m *memory) bool {
	if m.kills() <= m.before {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.told {
		m.told = true
		s.tell("oom")
	}
	return true
}

// watchOOM tells of it when it happens: the kernel announces each change of the file
// to inotify. A life that ends soon is not worth a watch.
func (s *shim) watchOOM(l *life) {
	if l.memory.folder == "" {
		return
	}
	l.timers = append(l.timers, time.AfterFunc(calm, func() {
		watch := l.memory.begin()
		if watch == nil {
			return
		}
		buffer := make([]byte, 4096)
		for !s.tellOOM(&l.memory) {
			if _, err := watch.Read(buffer); err != nil {
				return
			}
		}
	}))
}

// begin starts the watch, or returns nil where that cannot be or need not any more.
func (m *memory) begin() *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	watch := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, filepath.Join(m.folder, "memory.events"), unix.IN_MODIFY); err != nil {
		watch.Close() // no memory controller
		return nil
	}
	m.watch = watch
	return watch
}
