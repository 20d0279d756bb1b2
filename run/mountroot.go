package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// MountedRoot is a container's root file system that can be seen in the caller's mount
// namespace.
type MountedRoot struct {
	ID, Name, Path string
}

// mayMount refuses whom the kernel would not let mount anything.
func mayMount(verb string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return &userns.HostError{What: "cannot run command \"skiff " + verb + "\" in rootless mode: an ordinary user may mount nothing where other processes see it",
		Hint: "skiff unshare opens a shell where it works, and the mounts end with it"}
}

// MountRoot mounts a container's root file system in the caller's mount namespace, where
// it stays until UnmountRoot or the namespace's end. Nothing of it is written down: the
// kernel knows. A container that does not run cannot be started meanwhile.
func (e *Engine) MountRoot(ctx context.Context, ref string) (path string, err error) {
	defer e.tidy()()
	if err := mayMount("mount"); err != nil {
		return "", err
	}
	c, r, err := e.find(ref)
	if err != nil {
		return "", err
	}
	path = filepath.Join(c.Dir, "merged")
	if mounted, err := hereMounted(); err != nil || mounted[path] {
		return path, err
	}
	deadline := time.Now().Add(settleLimit)
	for {
		state, err := settle(ctx, c)
		if err != nil {
			return "", err
		}
		if state.Alive() {
			err = mountLive(state.Shim, path)
		} else {
			err = e.mountStopped(ctx, c, r)
		}
		if err == nil {
			e.emit(r, "mount")
			return path, nil
		}
		if !errors.Is(err, store.ErrRunning) && !errors.Is(err, unix.ESRCH) || time.Now().After(deadline) {
			return "", fmt.Errorf("mounting container %q: %w", r.Name, err)
		}
		if err := pause(ctx, settlePoll); err != nil {
			return "", err
		}
	}
}

func (e *Engine) mountStopped(ctx context.Context, c *store.Container, r *store.Record) error {
	if err := e.mapLayers(ctx, r, nil); err != nil {
		return err
	}
	lock, _, err := c.LockStart()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	_, err = e.stack(c, r).Mount()
	return err
}

// mountLive shows the mount that a running container's shim has made at the same path here.
func mountLive(shim store.ProcessID, path string) error {
	pidfd, err := shim.Open()
	if err != nil {
		return err
	}
	if pidfd == nil {
		return unix.ESRCH
	}
	defer pidfd.Close()
	type clone struct {
		fd  int
		err error
	}
	made := make(chan clone)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		fd, err := cloneMount(pidfd, path)
		made <- clone{fd, err}
	}()
	tree := <-made
	if tree.err != nil {
		return tree.err
	}
	defer unix.Close(tree.fd)
	return unix.MoveMount(tree.fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// cloneMount enters a process's mount namespace with the calling thread and clones a mount.
func cloneMount(pidfd *os.File, path string) (fd int, err error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // else no thread of a process with several may
		return -1, err
	}
	if err := unix.Setns(int(pidfd.Fd()), unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("entering its mount namespace: %w", err)
	}
	return unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
}

// UnmountRoot takes away what MountRoot has mounted; one that is not mounted is no
// error. With force it goes from sight at once, also where it is in use.
func (e *Engine) UnmountRoot(ctx context.Context, ref string, force bool) error {
	defer e.tidy()()
	if err := mayMount("unmount"); err != nil {
		return err
	}
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	path := filepath.Join(c.Dir, "merged")
	mounted, err := hereMounted()
	if err != nil || !mounted[path] {
		return err
	}
	flags := unix.UMOUNT_NOFOLLOW
	if force {
		flags |= unix.MNT_DETACH
	}
	err = unix.Unmount(path, flags)
	if errors.Is(err, unix.EBUSY) {
		return &userns.HostError{What: fmt.Sprintf("unmounting container %q: it is in use", r.Name), Hint: "leave its folders, or use --force", Err: err}
	}
	if err != nil {
		return fmt.Errorf("unmounting container %q: %w", r.Name, err)
	}
	e.emit(r, "unmount")
	return nil
}

// MountedRoots lists the containers that are mounted in the caller's mount namespace.
func (e *Engine) MountedRoots(ctx context.Context) ([]MountedRoot, error) {
	if err := mayMount("mount"); err != nil {
		return nil, err
	}
	mounted, err := hereMounted()
	if err != nil {
		return nil, err
	}
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	var roots []MountedRoot
	for _, c := range all {
		path := filepath.Join(c.Dir, "merged")
		if !mounted[path] {
			continue
		}
		if r, err := c.Record(); err == nil {
			roots = append(roots, MountedRoot{c.ID, r.Name, path})
		}
	}
	return roots, nil
}

// hereMounted are the paths on which something is mounted (proc_pid_mountinfo(5)).
func hereMounted() (map[string]bool, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading what is mounted: %w", err)
	}
	paths := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			paths[unescape(fields[4])] = true
		}
	}
	return paths, nil
}

// unescape undoes \040 and the like.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
