package conmon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// SharedShm is the folder in a container's own from which its config binds /dev/shm
// where it joins the IPC namespace of another one. The shared memory of that one lies
// in a mount namespace of its own, so the shim brings it there for the time of the start.
const SharedShm = "shm"

// joinShm mounts the shared memory of the container whose IPC namespace is joined at
// Dir/shm, for the init stage, which takes a copy of this mount namespace. Drop takes
// it away again.
func (s *shim) joinShm(spec *specs.Spec) (drop func(), err error) {
	place := filepath.Join(s.setup.Dir, SharedShm)
	wanted := slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return m.Source == place })
	i := slices.IndexFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.IPCNamespace && n.Path != "" })
	if !wanted || i < 0 {
		return func() {}, nil
	}
	tree, err := shmOf(filepath.Dir(spec.Linux.Namespaces[i].Path) + "/mnt")
	if err != nil {
		return nil, fmt.Errorf("joining the shared memory of a container: %w", err)
	}
	defer unix.Close(tree)
	if err := os.Mkdir(place, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, fmt.Errorf("mounting the shared memory of a container: %w", err)
	}
	return func() { unix.Unmount(place, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) }, nil
}

// shmOf returns a detached copy of the mount at /dev/shm in a mount namespace. A
// thread of its own enters it, and is thrown away.
func shmOf(namespace string) (tree int, err error) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		defer close(done)
		tree, err = enterAndClone(namespace)
	}()
	<-done
	return tree, err
}

func enterAndClone(namespace string) (int, error) {
	fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening %s: %w", namespace, err)
	}
	defer unix.Close(fd)
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns(2) wants a thread that shares no root with others
		return -1, fmt.Errorf("leaving the common root: %w", err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("entering a mount namespace: %w", err)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/dev/shm", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return -1, fmt.Errorf("opening its /dev/shm: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(tree, &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		unix.Close(tree)
		return -1, errors.New("its /dev/shm is no shared memory any more") // it may mount there what it likes
	}
	return tree, nil
}
