package unpack

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// whiteout hides a name of the layers below, or everything of theirs in a
// directory (image-spec layer.md, "Whiteouts"). Entries of this layer itself stay.
func (a *applier) whiteout(folder, base string) error {
	if base == opaqueMarker {
		a.result.Whiteouts = true
		return a.opaque(folder)
	}
	hidden := base[len(whiteoutPrefix):]
	switch {
	case len(hidden) >= len(whiteoutPrefix) && hidden[:len(whiteoutPrefix)] == whiteoutPrefix:
		return nil // notes of aufs to itself, such as .wh..wh.plnk
	case hidden == "" || hidden == "." || hidden == "..":
		return errors.New("whiteout of no name")
	}
	parent, err := a.directory(folder)
	if err != nil {
		return err
	}
	a.result.Whiteouts = true
	// Any user may make this one device: it is no device, but a mark (linux 5.8).
	err = unix.Mknodat(parent, hidden, unix.S_IFCHR, 0)
	if errors.Is(err, unix.EEXIST) {
		return a.hideBelow(parent, hidden)
	}
	if err != nil {
		return fmt.Errorf("making a whiteout: %w", err)
	}
	return nil
}

// hideBelow is a whiteout of a name that this layer has made already. Anything but
// a directory hides what is below by itself.
func (a *applier) hideBelow(parent int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return setXattrAt(parent, name, opaqueXattr, []byte("y"))
}

// opaque marks a directory as hiding everything below it.
func (a *applier) opaque(folder string) error {
	if _, err := a.directory(folder); err != nil {
		return err
	}
	fd, err := openIn(a.root, "./"+folder, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fsetxattr(fd, opaqueXattr, []byte("y"), 0); err != nil {
		return fmt.Errorf("making the directory opaque: %w", err)
	}
	return nil
}

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

func (a *applier) isWhiteout(parent int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && isWhiteout(&st)
}
