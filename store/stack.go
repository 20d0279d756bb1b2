package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// The drivers, best first.
const (
	Overlay     = "overlay"        // overlayfs of the kernel, 5.11 and later in a user namespace
	FuseOverlay = "fuse-overlayfs" // the program of that name, in a process beside the container
	Copy        = "copy"           // every container has a copy of its image
	Bind        = "bind"           // a folder of the host's is the root file system itself
)

// Stack is a container's root file system: an image's layers, a writable
// directory above them, and where they are seen as one.
type Stack struct {
	Driver string   // "overlay", "fuse-overlayfs" or "copy", as [Store.Driver] told
	Store  string   // the store's root
	Layers []string // diff ids, lowest first; of one that stands there twice the upper counts
	Map    string   `json:",omitempty"` // [MapName] of the container's ids: whose trees of the layers are used
	Dir    string   // the container's folder with upper/, work/ and merged/
	// Base is a folder of the host's: with the driver "bind" the root file system,
	// with the others what lies below all layers, and is only read.
	Base string `json:",omitempty"`
	// Volatile leaves out syncing to disk (the mount option of that name in
	// overlayfs.rst): right for what a power cut may take.
	Volatile bool `json:",omitempty"`
}

// Mounted is a root file system in place, until Unmount.
type Mounted struct {
	Driver string // the one in use: that of the container's first start
	Path   string // Dir/merged
	daemon *daemon
}

// Mount shows the stack at Dir/merged. The caller is root of the user namespace, in
// a mount namespace of its own, in which the mount stays: it ends with it. What
// the container has written is there again when it is mounted again. The root's
// own mode and owner are those of the topmost layer's root at the first mount.
//
// The first mount decides the driver for the container's whole life, as what one
// leaves in upper/ means something else to the next.
func (st Stack) Mount() (*Mounted, error) {
	driver, err := st.settle()
	if err != nil {
		return nil, fmt.Errorf("mounting the root file system: %w", err)
	}
	m := &Mounted{Driver: driver, Path: filepath.Join(st.Dir, "merged")}
	switch driver {
	case Overlay:
		err = st.mountOverlay(m.Path)
	case FuseOverlay:
		m.daemon, err = st.mountFuse(m.Path)
	case Copy:
		err = unix.Mount(st.upper(), m.Path, "", unix.MS_BIND, "")
	case Bind:
		// With all that is mounted beneath: the kernel lets nobody uncover what that hides.
		err = unix.Mount(st.Base, m.Path, "", unix.MS_BIND|unix.MS_REC, "")
	default:
		err = fmt.Errorf("storage driver %q is unknown", driver)
	}
	if errors.Is(err, unix.EBUSY) {
		return nil, &userns.HostError{What: "the root file system is mounted elsewhere", Hint: "skiff unmount it in the skiff unshare where skiff mount was called", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("mounting the root file system (%s): %w", driver, err)
	}
	return m, nil
}

func (st Stack) upper() string { return filepath.Join(st.Dir, "upper") }

// settle returns the driver of the container's first mount, preparing upper/ where
// this is the first. The link `driver` is made last: without it all is done again.
func (st Stack) settle() (string, error) {
	if driver, mounted := st.Settled(); mounted {
		return driver, nil
	}
	var err error
	switch st.Driver {
	case Bind:
	case Copy:
		err = st.copyLayers()
	default:
		err = st.rootAttributes()
	}
	if err != nil {
		return "", err
	}
	return st.Driver, os.Symlink(st.Driver, filepath.Join(st.Dir, "driver"))
}

// Settled is the driver of the container's first mount; false before that.
func (st Stack) Settled() (driver string, mounted bool) {
	driver, err := os.Readlink(filepath.Join(st.Dir, "driver"))
	return driver, err == nil
}

// rootAttributes gives upper/, which overlayfs shows as the root, what the topmost
// layer's root has: a container sees the image's, not ours.
func (st Stack) rootAttributes() error {
	lowers := st.Lowers()
	if len(lowers) == 0 {
		return nil
	}
	var root, upper unix.Stat_t
	top := lowers[0]
	if err := unix.Lstat(top, &root); err != nil {
		return &os.PathError{Op: "lstat", Path: top, Err: err}
	}
	if err := unix.Lstat(st.upper(), &upper); err != nil {
		return &os.PathError{Op: "lstat", Path: st.upper(), Err: err}
	}
	if root.Uid != upper.Uid || root.Gid != upper.Gid {
		// EINVAL: an owner that this namespace does not know, shown as "nobody".
		if err := os.Lchown(st.upper(), int(root.Uid), int(root.Gid)); err != nil && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return os.Chmod(st.upper(), fileMode(root.Mode))
}

// fileMode turns the bits of stat(2) into Go's.
func fileMode(bits uint32) os.FileMode {
	mode := os.FileMode(bits & 0o777)
	if bits&unix.S_ISUID != 0 {
		mode |= os.ModeSetuid
	}
	if bits&unix.S_ISGID != 0 {
		mode |= os.ModeSetgid
	}
	if bits&unix.S_ISVTX != 0 {
		mode |= os.ModeSticky
	}
	return mode
}

// Lowers are the paths of the layers without repetition, topmost first. Stacking
// one directory twice is ELOOP.
func (st Stack) Lowers() []string {
	seen := map[string]bool{}
	var paths []string
	for i := len(st.Layers) - 1; i >= 0; i-- {
		if id := st.Layers[i]; !seen[id] {
			seen[id] = true
			paths = append(paths, MappedTree(st.Store, id, st.Map))
		}
	}
	if st.Base != "" {
		paths = append(paths, st.Base)
	}
	return paths
}

// unmountLimit is how long Unmount waits for the mount namespaces of processes that
// have ended.
const unmountLimit = 5 * time.Second

// Unmount takes the root file system away and returns when it is gone and
// everything written is in upper/. No process of the container may be left.
func (m *Mounted) Unmount() error {
	deadline := time.Now().Add(unmountLimit)
	flags := unix.UMOUNT_NOFOLLOW
	if m.Driver == Bind {
		flags |= unix.MNT_DETACH // the folder's own mounts go along; nothing is to be written
	}
	for {
		err := unix.Unmount(m.Path, flags)
		switch {
		case err == nil || errors.Is(err, unix.EINVAL): // EINVAL: not mounted any longer
			return m.daemon.wait()
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EBUSY) && time.Now().Before(deadline):
			time.Sleep(time.Millisecond) // the kernel tells nobody when it becomes free
		default:
			return fmt.Errorf("unmounting %s: %w", m.Path, err)
		}
	}
}
