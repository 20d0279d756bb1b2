package oci

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// root is a directory beneath which every path is resolved by the kernel
// (openat2(2), RESOLVE_IN_ROOT): "..", absolute links and links of links end
// inside, whatever the image or another container that shares a volume does
// meanwhile (CVE-2021-30465). What is done afterwards is done to the descriptor,
// never to the path again.
type root struct{ fd int }

// maxLinks is the kernel's own bound for symbolic links in one path (path_resolution(7)).
const maxLinks = 40

// open opens a path in the root. Links of procfs ("magic" ones) are never followed.
func (r root) open(name string, flags uint64, resolve uint64) (fd int, err error) {
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve}
	if name == "" {
		name = "."
	}
	for range 64 {
		fd, err = unix.Openat2(r.fd, name, how)
		// EAGAIN: a rename elsewhere on the system while ".." was resolved.
		if err != unix.EINTR && err != unix.EAGAIN {
			break
		}
	}
	return fd, err
}

// find opens what is there for mounting or reading its kind (O_PATH).
func (r root) find(name string) (int, error) { return r.open(name, unix.O_PATH, 0) }

// ensure opens a directory (or, with file, a file that is no directory), making it
// and its parents where they are missing, as a container's mount points are.
func (r root) ensure(name string, file bool) (int, error) {
	fd, err := r.find(name)
	if err == unix.ENOENT {
		if fd, err = r.createLast(name, file); err != nil {
			fd, err = r.create(name, file)
		}
	}
	if err != nil {
		return -1, fmt.Errorf("making %q in the container: %w", name, err)
	}
	return fd, nil
}

// createLast is create for the common case: the parent exists, and nothing is
// there by that name, not even a link.
func (r root) createLast(name string, file bool) (int, error) {
	if strings.Contains(name, "..") {
		return -1, unix.ENOENT // which directory that is depends on links
	}
	dir, err := r.open(path.Dir(path.Clean(name)), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	base := path.Base(name)
	if file {
		return unix.Openat(dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	}
	if err := unix.Mkdirat(dir, base, 0o755); err != nil {
		return -1, err
	}
	return unix.Openat(dir, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// create is ensure for a path of which something is missing. It follows links one
// by one, as a link in an image may well point to a directory that only this makes
// (/var/run to /run).
func (r root) create(name string, file bool) (int, error) {
	todo := components(name)
	var done []string
	links := 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		if part == ".." {
			done = done[:max(0, len(done)-1)]
			continue
		}
		here := path.Join(append(done, part)...)
		target, err := r.linkAt(here)
		switch {
		case err == unix.ENOENT:
			if err := r.createOne(path.Join(done...), part, file && len(todo) == 0); err != nil {
				return -1, err
			}
		case err != nil:
			return -1, err
		case target != "":
			if links++; links > maxLinks {
				return -1, unix.ELOOP
			}
			if path.IsAbs(target) {
				done = nil
			}
			todo = append(components(target), todo...)
			continue
		}
		done = append(done, part)
	}
	return r.open(path.Join(done...), unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
}

// linkAt returns a symbolic link's target, "" for anything else.
func (r root) linkAt(name string) (string, error) {
	fd, err := r.open(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	}
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(b[:max(n, 0)]), err
}

// createOne makes one entry. Another's having made it meanwhile is as good.
func (r root) createOne(parent, name string, file bool) error {
	dir, err := r.open(parent, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if file {
		var fd int
		if fd, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err == nil {
			unix.Close(fd)
		}
	} else {
		err = unix.Mkdirat(dir, name, 0o755)
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func components(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// isDir tells whether a descriptor is a directory.
func isDir(fd int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// isFilesystem tells whether a descriptor lies on a file system of that kind (statfs(2)).
func isFilesystem(fd int, magic int64) bool {
	var st unix.Statfs_t
	return userns.Retried(func() error { return unix.Fstatfs(fd, &st) }) == nil && int64(st.Type) == magic
}
