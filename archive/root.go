package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Root says which root of a container the stage takes for its tree. One of Live, Below
// and Stack is set.
type Root struct {
	// Live is the first process of a running container, whose root is seen as it sees
	// it: with volumes, tmpfs, and what it has mounted itself.
	Live *store.ProcessID `json:",omitempty"`
	// Below is a running container's shim, and Merged where it has mounted the
	// container's root: without what is mounted in it.
	Below  *store.ProcessID `json:",omitempty"`
	Merged string           `json:",omitempty"`
	// Stack is mounted by the stage, in its own mount namespace, for a container that
	// does not run and whose lock the caller holds.
	Stack    *store.Stack `json:",omitempty"`
	Binds    []Bind       `json:",omitempty"` // folders and files of the host's in it
	ReadOnly bool         `json:",omitempty"` // but for the binds

	IDs *store.IDMappings `json:",omitempty"` // the container's, where they are not those of U
}

// Bind is a volume of a container that does not run.
type Bind struct {
	Source, Target string
	ReadOnly       bool `json:",omitempty"`
}

// errEnded is a container that ended while it was being looked at; it compares with ESRCH.
var errEnded = fmt.Errorf("the container has ended: %w", unix.ESRCH)

// open gives the root's directory, and what undoes it.
func (r *Root) open() (root *os.File, undo func() error, err error) {
	switch {
	case r.Live != nil:
		root, err = rootOf(*r.Live, "")
	case r.Below != nil:
		root, err = rootOf(*r.Below, r.Merged)
	case r.Stack != nil:
		return r.mount()
	default:
		err = errors.New("no root is named")
	}
	return root, func() error { return nil }, err
}

// rootOf opens a directory as a process sees it. The process is looked at once more
// afterwards, as its number could have come to mean another one.
func rootOf(who store.ProcessID, folder string) (*os.File, error) {
	pidfd, err := who.Open()
	if err != nil {
		return nil, err
	}
	if pidfd == nil {
		return nil, errEnded
	}
	defer pidfd.Close()
	top, err := os.OpenFile("/proc/"+strconv.Itoa(who.PID)+"/root", unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil, errEnded
	}
	if err != nil {
		return nil, fmt.Errorf("opening the container's root: %w", err)
	}
	if store.Ended(pidfd) {
		top.Close()
		return nil, errEnded
	}
	if folder == "" {
		return top, nil
	}
	defer top.Close()
	root, err := openBeneath(top, folder, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("opening the container's root: %w", err)
	}
	var st unix.Statx_t
	err = unix.Statx(int(root.Fd()), "", unix.AT_EMPTY_PATH, 0, &st)
	if err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		err = errEnded // the shim has unmounted it
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// mount mounts the container's root file system and its volumes.
func (r *Root) mount() (root *os.File, undo func() error, err error) {
	// Slave, not private: see the shim.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, nil, fmt.Errorf("leaving the host's mount propagation: %w", err)
	}
	m, err := r.Stack.Mount()
	if err != nil {
		return nil, nil, err
	}
	var bound []string
	undo = func() error {
		for _, target := range bound {
			unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		return m.Unmount()
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	if root, err = os.OpenFile(m.Path, unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return nil, nil, err
	}
	for _, b := range r.Binds {
		target, err := b.mount(root)
		if err != nil {
			root.Close()
			return nil, nil, fmt.Errorf("mounting volume %q: %w", b.Target, err)
		}
		if target != "" {
			bound = append([]string{target}, bound...)
		}
	}
	if r.ReadOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err = unix.MountSetattr(int(root.Fd()), "", unix.AT_EMPTY_PATH, attr); err != nil {
			root.Close()
			return nil, nil, fmt.Errorf("making the root file system read-only: %w", err)
		}
	}
	return root, undo, nil
}

// mount puts a volume where a start of the container would. One whose source is
// missing is left out: that start will say so.
func (b *Bind) mount(root *os.File) (target string, err error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, b.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return "", err
	}
	if b.ReadOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr); err != nil {
			return "", err
		}
	}
	at, err := openBeneath(root, b.Target, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		if err := makeTarget(root, b.Target, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
			return "", err
		}
		at, err = openBeneath(root, b.Target, unix.O_PATH)
	}
	if err != nil {
		return "", err
	}
	defer at.Close()
	if err := unix.MoveMount(tree, "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return "", err
	}
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(int(at.Fd())))
}

// makeTarget makes what a volume is mounted on, and the directories above.
func makeTarget(root *os.File, name string, folder bool) error {
	above, base := filepath.Split(filepath.Clean("/" + name))
	if base == "" {
		return unix.EBUSY
	}
	parent, err := openBeneath(root, above, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if err := makeTarget(root, above, true); err != nil {
			return err
		}
		parent, err = openBeneath(root, above, unix.O_PATH|unix.O_DIRECTORY)
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	if folder {
		return unix.Mkdirat(int(parent.Fd()), base, 0o755)
	}
	fd, err := unix.Openat(int(parent.Fd()), base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}
