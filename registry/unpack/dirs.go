package unpack

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// cachedDirs bounds how many directories are held open. Archives list directory
// by directory, so that few of them serve nearly every entry.
const cachedDirs = 64

// dirCache holds descriptors of directories by their names in the archive.
type dirCache struct {
	root  int
	fds   map[string]int
	order [cachedDirs]string // a ring: the oldest is given up first
	next  int
}

func (c *dirCache) get(name string) (int, bool) {
	if name == "" {
		return c.root, true
	}
	fd, ok := c.fds[name]
	return fd, ok
}

func (c *dirCache) put(name string, fd int) {
	if c.fds == nil {
		c.fds = make(map[string]int, cachedDirs)
	}
	if old := c.order[c.next]; old != "" {
		unix.Close(c.fds[old])
		delete(c.fds, old)
	}
	c.order[c.next] = name
	c.next = (c.next + 1) % cachedDirs
	c.fds[name] = fd
}

// flush forgets everything: a directory or symbolic link was replaced, so names
// may lead elsewhere now.
func (c *dirCache) flush() {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
	*c = dirCache{root: c.root}
}

// openIn opens a path beneath root as if root were "/": absolute symbolic links
// and ".." stay inside (openat2(2), RESOLVE_IN_ROOT).
func openIn(root int, name string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(root, name, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
		runtime.Gosched() // EAGAIN: something was renamed anywhere on this machine
	}
}

// directory returns a descriptor of a directory that the cache owns, good until
// the next call or entry. Where the archive did not list it, it is made.
func (a *applier) directory(name string) (int, error) {
	if fd, ok := a.cache.get(name); ok {
		return fd, nil
	}
	fd, err := a.open(cmp.Or(name, "."), unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) { // ENOTDIR: a whiteout, perhaps
		fd, err = a.implied(name)
	}
	if err != nil {
		return -1, fmt.Errorf("opening its directory: %w", err)
	}
	a.cache.put(name, fd)
	return fd, nil
}

// implied makes a directory that was not listed, and those above it.
func (a *applier) implied(name string) (int, error) {
	folder, base := split(name)
	parent, err := a.directory(folder)
	if err != nil {
		return -1, err
	}
	err = unix.Mkdirat(parent, base, 0o755)
	if err == nil {
		err = a.ownImplied(parent, base)
	}
	if errors.Is(err, unix.EEXIST) && a.options == nil && a.isWhiteout(parent, base) {
		// An entry below what this very layer hides: fresh, nothing shines through.
		if err = a.remove(parent, base); err == nil {
			if err = unix.Mkdirat(parent, base, 0o755); err == nil {
				err = setXattrAt(parent, base, opaqueXattr, []byte("y"))
			}
		}
	}
	if errors.Is(err, unix.EEXIST) {
		return -1, fmt.Errorf("%q is no directory, and no link to one", shorten(name))
	}
	if err != nil {
		return -1, err
	}
	if a.implicitSize += len(name) + 8; a.implicitSize > maxImplicit {
		return -1, errors.New("too many directories that the layer does not list")
	}
	a.implicit[name] = true
	return unix.Openat(parent, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// remove deletes what stands where an entry belongs, a whole tree if need be.
func (a *applier) remove(parent int, base string) error {
	err := unix.Unlinkat(parent, base, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		if errors.Is(err, unix.EISDIR) && a.keeps() {
			return errFolderInWay
		}
		err = removeTree(parent, base)
	}
	// The descriptors that the caller holds come from the cache, so it is emptied
	// only when the next entry begins.
	a.stale = true
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// keeps tells whether directories and what is none leave each other alone.
func (a *applier) keeps() bool { return a.options != nil && !a.options.Overwrite }

func removeTree(parent int, base string) error {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	names, err := readNames(fd, base)
	if err == nil {
		for _, name := range names {
			err = unix.Unlinkat(fd, name, 0)
			if errors.Is(err, unix.EISDIR) {
				err = removeTree(fd, name)
			}
			if err != nil {
				break
			}
		}
	}
	unix.Close(fd)
	if err != nil {
		return err
	}
	return unix.Unlinkat(parent, base, unix.AT_REMOVEDIR)
}

func readNames(fd int, name string) ([]string, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), name)
	defer f.Close()
	return f.Readdirnames(-1)
}
