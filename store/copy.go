package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// opaqueAttribute marks a folder that hides what lower layers have in it
// (overlayfs.rst, with userxattr).
const opaqueAttribute = "user.overlay.opaque"

// copyLayers fills upper/ with the content of all layers, lowest first. It starts
// from nothing, whatever an interrupted attempt has left.
func (st Stack) copyLayers() error {
	if err := removeContent(st.upper()); err != nil {
		return err
	}
	lowers := st.Lowers()
	for i := len(lowers) - 1; i >= 0; i-- {
		if err := copyLayer(lowers[i], st.upper()); err != nil {
			return fmt.Errorf("copying layer %s: %w", filepath.Base(lowers[i]), err)
		}
	}
	return nil
}

func removeContent(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, e := range entries {
		if err := removeTree(dir, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// inode names a file with several names.
type inode struct{ device, number uint64 }

// copier copies one layer over what lower ones have left. Everything is reached by
// name from open folders, so that no symbolic link is followed.
type copier struct {
	root   int              // of the target
	copied map[inode]string // the first name of each file with several, from the target's root
}

func copyLayer(from, to string) error {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	source, err := unix.Open(from, flags, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: from, Err: err}
	}
	defer unix.Close(source)
	target, err := unix.Open(to, flags, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: to, Err: err}
	}
	defer unix.Close(target)
	c := copier{root: target, copied: map[inode]string{}}
	return c.folder(source, target, "")
}

// folder copies the content of one folder, then its attributes, as its times
// change with its content.
func (c *copier) folder(source, target int, path string) error {
	names, err := namesIn(source)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.entry(source, target, name, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return pathError("fstat", path, err)
	}
	return attributes(source, target, path, &st)
}

func namesIn(fd int) ([]string, error) {
	own, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, pathError("open", ".", err)
	}
	dir := os.NewFile(uintptr(own), ".")
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (c *copier) entry(source, target int, name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(source, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("lstat", path, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return c.subfolder(source, target, name, path, &st)
	}
	if err := removeAt(target, name); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return nil // a whiteout: nothing comes in its place
	}
	key := inode{st.Dev, st.Ino}
	if first, ok := c.copied[key]; ok {
		return pathError("link", path, unix.Linkat(c.root, first, target, name, 0))
	}
	if err := c.leaf(source, target, name, path, &st); err != nil {
		return err
	}
	if st.Nlink > 1 {
		c.copied[key] = path
	}
	return nil
}

func removeAt(folder int, name string) error {
	err := unlinkAt(folder, name, 0)
	if err == nil || !isFolder(err) {
		return pathError("unlinkat", name, err)
	}
	own, err := unix.Openat(folder, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", name, err)
	}
	dir := os.NewFile(uintptr(own), ".")
	defer dir.Close()
	return removeTree(dir, name)
}

func (c *copier) subfolder(source, target int, name, path string, st *unix.Stat_t) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	from, err := unix.Openat(source, name, flags, 0)
	if err != nil {
		return pathError("open", path, err)
	}
	defer unix.Close(from)
	var have unix.Stat_t
	err = unix.Fstatat(target, name, &have, unix.AT_SYMLINK_NOFOLLOW)
	isFolder := err == nil && have.Mode&unix.S_IFMT == unix.S_IFDIR
	if err == nil && (!isFolder || opaque(from)) {
		if err := removeAt(target, name); err != nil {
			return err
		}
		isFolder = false
	}
	if !isFolder {
		if err := unix.Mkdirat(target, name, 0o700); err != nil {
			return pathError("mkdir", path, err)
		}
	}
	to, err := unix.Openat(target, name, flags, 0)
	if err != nil {
		return pathError("open", path, err)
	}
	defer unix.Close(to)
	return c.folder(from, to, path)
}

func opaque(fd int) bool {
	var value [1]byte
	n, err := unix.Fgetxattr(fd, opaqueAttribute, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// leaf copies what is no folder.
func (c *copier) leaf(source, target int, name, path string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.file(source, target, name, path, st)
	case unix.S_IFLNK:
		buffer := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(source, name, buffer)
		if err != nil {
			return pathError("readlink", path, err)
		}
		if err := unix.Symlinkat(string(buffer[:n]), target, name); err != nil {
			return pathError("symlink", path, err)
		}
	case unix.S_IFIFO:
		if err := unix.Mknodat(target, name, unix.S_IFIFO|0o600, 0); err != nil {
			return pathError("mkfifo", path, err)
		}
	default:
		return nil // devices, which a user namespace may not make, and sockets, which mean nothing
	}
	own := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if err := unix.Fchownat(target, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
		return pathError("chown", path, err)
	}
	if !own {
		if err := unix.Fchmodat(target, name, st.Mode&0o7777, 0); err != nil {
			return pathError("chmod", path, err)
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return pathError("utimensat", path, unix.UtimesNanoAt(target, name, times, unix.AT_SYMLINK_NOFOLLOW))
}

func (c *copier) file(source, target int, name, path string, st *unix.Stat_t) error {
	from, err := unix.Openat(source, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", path, err)
	}
	defer unix.Close(from)
	to, err := unix.Openat(target, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return pathError("create", path, err)
	}
	defer unix.Close(to)
	if err := content(from, to, st.Size); err != nil {
		return pathError("copy", path, err)
	}
	return attributes(from, to, path, st)
}

// content shares the blocks of a file where the file system can (FICLONE), else
// has the kernel copy them.
func content(from, to int, size int64) error {
	if size == 0 || unix.IoctlFileClone(to, from) == nil {
		return nil
	}
	for size > 0 {
		n, err := unix.CopyFileRange(from, nil, to, nil, int(min(size, 1<<30)), 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return copyByHand(from, to)
		case n == 0:
			return nil
		default:
			size -= int64(n)
		}
	}
	return nil
}

// copyByHand goes on where copy_file_range cannot: both descriptors stand at the
// first byte that is not copied.
func copyByHand(from, to int) error {
	buffer := make([]byte, 256<<10)
	for {
		n, err := unix.Read(from, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		for done := 0; done < n; {
			m, err := unix.Write(to, buffer[done:n])
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return err
			}
			if m == 0 {
				return io.ErrShortWrite
			}
			done += m
		}
	}
}

// attributes gives an open file or folder what another has: owner, extended
// attributes, mode, times. The owner comes first, as changing it drops set-id bits
// and file capabilities.
func attributes(from, to int, path string, st *unix.Stat_t) error {
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, unix.EINVAL) {
		return pathError("chown", path, err)
	}
	if err := extended(from, to); err != nil {
		return pathError("setxattr", path, err)
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return pathError("chmod", path, err)
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return pathError("utimensat", path, unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(to), times, 0))
}

// extended copies extended attributes but overlayfs's own. Those of a name space
// that the user namespace may not set are left out, as unpacking left them out.
func extended(from, to int) error {
	size, err := unix.Flistxattr(from, nil)
	if err != nil || size == 0 {
		return nil // none, or a file system without them
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(from, list); err != nil {
		return err
	}
	for _, name := range splitZero(list[:size]) {
		if name == opaqueAttribute {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(from, name, value)
		if err != nil {
			continue
		}
		if err := unix.Fsetxattr(to, name, value[:n], 0); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	return nil
}

func splitZero(list []byte) []string {
	var names []string
	start := 0
	for i, b := range list {
		if b == 0 {
			names = append(names, string(list[start:i]))
			start = i + 1
		}
	}
	return names
}
