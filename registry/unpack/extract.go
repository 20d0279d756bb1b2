package unpack

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Options say how an archive is unpacked that is no layer: names mean what they
// say, none hides anything, and what is there stays.
type Options struct {
	// Into is the directory beneath the root, there already, in which the archive's
	// names begin. Symbolic links on the way are followed as if the root were "/".
	Into string
	// Confined follows no symbolic link beneath the root at all: the archive comes
	// from somebody whom the tree does not belong to.
	Confined bool
	// Owner says who owns an entry whose owner is so called in the archive; nil leaves
	// everything to the caller.
	Owner func(uid, gid int) (int, int)
	// Plain leaves out what gives rights to who executes a file: set-id bits and
	// capabilities.
	Plain bool
	// Overwrite lets a directory take the place of something else, and the other way
	// round; without, that is an error.
	Overwrite bool
}

// Extract unpacks an archive beneath root and reads it to its end. Others may be
// changing the tree meanwhile: nothing is reached but beneath root, nothing is opened
// for writing but what was just made, and what stands where an entry belongs is
// replaced and never followed. On an error what was unpacked until then stays.
func Extract(root *os.File, archive io.Reader, o Options) (*Result, error) {
	into, err := cleanName(o.Into)
	if err != nil {
		return nil, fmt.Errorf("unpacking into %q: %w", shorten(o.Into), err)
	}
	a := newApplier(root)
	a.options, a.into = &o, into
	defer runtime.KeepAlive(root)
	defer func() { a.cache.flush() }()
	if err := a.entries(tar.NewReader(bufio.NewReaderSize(archive, 256<<10))); err != nil {
		return &a.result, err
	}
	if err := a.setTimes(); err != nil {
		return &a.result, err
	}
	// Whoever writes the archive is not to meet a closed pipe at its padding.
	if _, err := io.CopyBuffer(io.Discard, archive, a.buffer); err != nil {
		return &a.result, fmt.Errorf("reading the archive: %w", err)
	}
	return &a.result, nil
}

// The two conflicts in which nothing is replaced without Overwrite, in Docker's words.
var (
	errFolderInWay = errors.New("cannot overwrite directory with non-directory")
	errFileInWay   = errors.New("cannot overwrite non-directory with directory")
)

// place is where an entry of a clean name belongs.
func (a *applier) place(name string) string {
	if a.into == "" || name == "" {
		return name
	}
	return a.into + "/" + name
}

// give is own for archives that are no layers.
func (a *applier) give(h *tar.Header, mode uint32, chown func(uid, gid int) error) (uint32, error) {
	if a.options.Plain {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	if a.options.Owner == nil {
		return mode, nil
	}
	err := chown(a.options.Owner(h.Uid, h.Gid))
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		a.result.Squashed++
		return mode &^ (unix.S_ISUID | unix.S_ISGID), nil
	}
	if err != nil {
		return 0, fmt.Errorf("setting its owner: %w", err)
	}
	return mode, nil
}

// ownImplied gives a directory that the archive does not list the owner of root's entries.
func (a *applier) ownImplied(parent int, base string) error {
	if a.options == nil || a.options.Owner == nil {
		return nil
	}
	uid, gid := a.options.Owner(0, 0)
	err := unix.Fchownat(parent, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// open opens a path beneath the root.
func (a *applier) open(name string, flags int) (int, error) {
	if a.options != nil && a.options.Confined {
		return openConfined(a.root, name, flags)
	}
	return openIn(a.root, name, flags)
}

// openConfined is openIn for a tree in which no symbolic link is followed.
func openConfined(root int, name string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	for {
		fd, err := unix.Openat2(root, name, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
		runtime.Gosched()
	}
}
