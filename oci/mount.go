package oci

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// mountConfig is one mount of a container, its options taken apart.
type mountConfig struct {
	Destination string
	Type        string
	Source      string
	Bind        bool
	Recursive   bool       // rbind
	Attributes  attributes // of the mount itself
	Beneath     attributes // of it and all mounts beneath
	// Propagation is one of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0.
	Propagation      uint64
	PropagateBeneath bool
	Data             []string // what the file system is told: "key=value" or "flag"
	CopyUp           bool     // a tmpfs begins with what its mount point holds
	IDMap            idMapping
}

// mounter makes the mounts of one container.
type mounter struct {
	root    root
	trees   []int   // the sources of the bind mounts to come, where they were passed
	created uintptr // CLONE_NEW* of the namespaces that are the container's own
	null    int     // the host's /dev/null, verified
	// allCgroups shows hierarchies of version 1 as well.
	allCgroups bool
}

// mount carries out one mount.
//
// Everything is made detached (open_tree, fsmount), given its attributes, and only
// then moved to a target that openat2 found beneath the root: at no moment does a
// path decide where it lands, and at no moment is it there with too few restrictions.
func (m *mounter) mount(c *mountConfig) error {
	var err error
	switch {
	case c.Bind:
		err = m.bind(c)
	case c.Type == "proc", c.Type == "sysfs", c.Type == "mqueue":
		err = m.kernel(c)
	case c.Type == "cgroup", c.Type == "cgroup2":
		err = m.cgroup(c)
	default:
		err = m.filesystem(c)
	}
	if err != nil {
		return fmt.Errorf("mounting %s at %q: %w", c.what(), c.Destination, err)
	}
	return nil
}

func (c *mountConfig) what() string {
	if c.Bind {
		return fmt.Sprintf("%q", c.Source)
	}
	return c.Type
}

// bind shows a file or directory of the host.
func (m *mounter) bind(c *mountConfig) error {
	if len(m.trees) > 0 {
		tree := m.trees[0]
		m.trees = m.trees[1:]
		defer unix.Close(tree)
		return m.place(c, tree)
	}
	tree, err := c.openSource()
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return m.place(c, tree)
}

// openSource returns a detached copy of a bind mount's source.
func (c *mountConfig) openSource() (int, error) {
	tree, err := cloneTree(unix.AT_FDCWD, c.Source, c.Recursive)
	if err == unix.EINVAL && !c.Recursive {
		// A mount that covers others may not be taken without them: they could hide something.
		return -1, because(err, "use rbind, which takes the mounts beneath along", "opening %q, which has mounts beneath", c.Source)
	}
	if err != nil {
		return -1, fmt.Errorf("opening %q: %w", c.Source, err)
	}
	return tree, nil
}

// place gives a cloned tree its attributes and moves it to the destination.
func (m *mounter) place(c *mountConfig, tree int) error {
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	dir := kind == unix.S_IFDIR
	target, err := m.target(c.Destination, !dir)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if targetDir, err := isDir(target); err == nil && targetDir != dir {
		return fmt.Errorf("a directory can be mounted on a directory only, and a file on a file: %w", unix.ENOTDIR)
	}
	own := c.Attributes
	// "rw" must not fail where the source is locked read-only, it just stays so.
	own.Clear &^= unix.MOUNT_ATTR_RDONLY
	if kind == unix.S_IFCHR || kind == unix.S_IFBLK {
		own.Set |= nodeAttributes
	}
	propagation := c.Propagation
	beneath := c.PropagateBeneath
	if propagation == 0 {
		propagation, beneath = unix.MS_PRIVATE, true
	}
	return attach(tree, target,
		change{attributes: own},
		change{attributes: c.Beneath, recursive: true},
		change{propagation: propagation, recursive: beneath})
}

// target finds or makes a mount point. That of proc and sysfs must be a directory by
// itself: masked and read-only paths are given as names beneath it, and an image
// whose /proc is a link could lead them astray (CVE-2019-19921, CVE-2023-27561).
func (m *mounter) target(name string, file bool) (int, error) {
	if name != "/proc" && name != "/sys" {
		return m.root.ensure(name, file)
	}
	fd, err := m.root.open(name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err == unix.ELOOP || err == unix.ENOTDIR {
		return -1, hinted("the image is broken or hostile", "%q in the image is not an ordinary directory", name)
	}
	if err == unix.ENOENT {
		return m.root.ensure(name, file)
	}
	return fd, err
}

// filesystem mounts a new instance of any other file system.
func (m *mounter) filesystem(c *mountConfig) error {
	data := c.Data
	target, err := m.root.find(c.Destination)
	if err == nil && c.Type == "tmpfs" && !hasOption(data, "mode") {
		// What stood there says who may write: /tmp stays 1777.
		var st unix.Stat_t
		if err := unix.Fstat(target, &st); err == nil {
			data = append(data[:len(data):len(data)], fmt.Sprintf("mode=%o", st.Mode&0o7777))
		}
	} else if err != nil {
		target, err = m.root.ensure(c.Destination, false)
	}
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if c.CopyUp {
		return m.copiedUp(c, data, target)
	}
	tree, err := newFilesystem(c, data)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return attach(tree, target, change{propagation: c.Propagation})
}

// copiedUp is filesystem for a tmpfs that is filled before it gets its attributes.
func (m *mounter) copiedUp(c *mountConfig, data []string, target int) error {
	plain := *c
	plain.Attributes, plain.Beneath = attributes{}, attributes{}
	tree, err := newFilesystem(&plain, data)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := copyUp(target, tree); err != nil {
		return fmt.Errorf("copying up what is there: %w", err)
	}
	set := attributes{Set: c.Attributes.Set | c.Beneath.Set}
	return attach(tree, target, change{attributes: set}, change{propagation: c.Propagation})
}

// newFilesystem returns a detached mount of a new instance.
func newFilesystem(c *mountConfig, data []string) (int, error) {
	context, err := unix.Fsopen(c.Type, unix.FSOPEN_CLOEXEC)
	if err == unix.ENODEV {
		return -1, fmt.Errorf("this kernel has no file system %q: %w", c.Type, err)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(context)
	if c.Source != "" {
		if err := unix.FsconfigSetString(context, "source", c.Source); err != nil {
			return -1, fmt.Errorf("source %q: %w", c.Source, err)
		}
	}
	for _, option := range data {
		key, value, has := strings.Cut(option, "=")
		if has {
			err = unix.FsconfigSetString(context, key, value)
		} else {
			err = unix.FsconfigSetFlag(context, key)
		}
		if err != nil {
			return -1, fmt.Errorf("option %q: %w", option, explainContext(context, err))
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, explainContext(context, err)
	}
	return unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, int(c.Attributes.Set|c.Beneath.Set))
}

// explainContext adds the kernel's own words, which a mount context keeps (fsopen(2)).
func explainContext(context int, err error) error {
	b := make([]byte, 512)
	n, readErr := unix.Read(context, b)
	if readErr != nil || n < 3 {
		return err
	}
	words := strings.TrimSpace(string(b[2:n])) // "e message"
	return fmt.Errorf("%s: %w", words, err)
}

func hasOption(data []string, key string) bool {
	for _, option := range data {
		if k, _, _ := strings.Cut(option, "="); k == key {
			return true
		}
	}
	return false
}

// cloneTree returns a detached copy of a mount, with all beneath it where recursive.
func cloneTree(dir int, name string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.OpenTree(dir, name, flags)
}

// change is one call of mount_setattr(2).
type change struct {
	attributes
	propagation uint64
	recursive   bool
}

// attach makes the changes to a detached mount and moves it onto target.
func attach(tree, target int, changes ...change) error {
	old := false
	for _, c := range changes {
		err := c.apply(tree)
		if err == unix.ENOSYS {
			old = true
			break
		}
		if err != nil {
			return err
		}
	}
	err := unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("moving the mount to its place: %w", err)
	}
	if old {
		return remount(tree, changes)
	}
	return nil
}

// apply is for a mount's descriptor.
func (c change) apply(tree int) error {
	if c.Set|c.Clear|c.propagation == 0 {
		return nil
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if c.recursive {
		flags |= unix.AT_RECURSIVE
	}
	err := unix.MountSetattr(tree, "", flags, &unix.MountAttr{Attr_set: c.Set, Attr_clr: c.Clear, Propagation: c.propagation})
	if err == unix.EPERM {
		return fmt.Errorf("the host's mount keeps its options: %w", err)
	}
	return err
}
