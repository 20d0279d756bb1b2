package oci

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyUp fills a detached tmpfs with what its mount point holds (the mount option
// tmpcopyup). Nothing in the image leads out of it: every name is opened below its
// directory's descriptor, and links are copied, not followed.
func copyUp(from, to int) error {
	dir, err := unix.Openat(from, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	// A descriptor of fsmount(2) is one of O_PATH: its root is opened for use.
	target, err := unix.Openat(to, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(dir)
		return err
	}
	defer unix.Close(target)
	return copyEntries(dir, target, 0)
}

// maxDepth bounds the folders in folders of a hostile image: each holds two descriptors.
const maxDepth = 200

// copyEntries copies what is in a directory, whose descriptor it closes.
func copyEntries(from, to int, depth int) error {
	dir := os.NewFile(uintptr(from), "copied up")
	defer dir.Close()
	if depth > maxDepth {
		return errors.New("directories are nested too deeply")
	}
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if err := copyEntry(from, to, name, depth); err != nil {
				return fmt.Errorf("copying %q: %w", name, err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func copyEntry(from, to int, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return copyFolder(from, to, name, &st, depth)
	case unix.S_IFREG:
		err = copyFile(from, to, name)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, readErr := unix.Readlinkat(from, name, target)
		if readErr != nil {
			return readErr
		}
		err = unix.Symlinkat(string(target[:n]), to, name)
	case unix.S_IFIFO, unix.S_IFSOCK:
		err = unix.Mknodat(to, name, st.Mode, 0)
	default:
		return nil // a device, which a user namespace may not make
	}
	if err != nil {
		return err
	}
	return likeness(to, name, &st)
}

func copyFolder(from, to int, name string, st *unix.Stat_t, depth int) error {
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		return err
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	inner, err := unix.Openat(to, name, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(inner)
	source, err := unix.Openat(from, name, flags, 0)
	if err != nil {
		return err
	}
	if err := copyEntries(source, inner, depth+1); err != nil {
		return err
	}
	return likeness(to, name, st)
}

func copyFile(from, to int, name string) error {
	source, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(source), name)
	defer in.Close()
	target, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(target), name)
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// likeness gives a copy the owner, mode and times of what it was made from. The owner
// comes first, as to change it takes set-id bits away.
func likeness(dir int, name string, st *unix.Stat_t) error {
	if err := unix.Fchownat(dir, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil && err != unix.EINVAL {
		return err // EINVAL: an id that is not mapped here
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(dir, name, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}
