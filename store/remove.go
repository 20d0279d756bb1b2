package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// removeStage deletes a tree as root of the user namespace, to whom the files of
// subordinate ids belong. Its descriptor "folder" holds the tree of the name in argv[1].
const removeStage = "skiff-remove"

// RemoveTree deletes path and everything beneath, whatever its modes and however
// deep, and never follows a symbolic link. Where files belong to subordinate ids,
// a stage in the user's namespace does what is left. A path that is not there is no error.
func (s *Store) RemoveTree(path string) error {
	folder, base := filepath.Split(path)
	dir, err := os.Open(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", path, err)
	}
	defer dir.Close()
	err = removeTree(dir, base)
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 { // root, here or in U, is allowed no more there
		_, err = s.runStage([]string{removeStage, base}, 0, userns.File{Name: "folder", File: dir})
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", path, err)
	}
	return nil
}

// remove is the stage.
func remove() int {
	folder, err := userns.Passed("folder")
	if err == nil && len(os.Args) != 2 {
		err = errors.New("one name is wanted")
	}
	if err == nil {
		err = userns.DieWithParent() // what is left then, the next sweep deletes
	}
	if err != nil {
		return complain(err)
	}
	if err := removeTree(folder, os.Args[1]); err != nil {
		return complain(err)
	}
	return 0
}

// maxDepth is how many folders are open at once while a tree is deleted. What lies
// deeper is moved to the top of the tree first.
const maxDepth = 64

// remover deletes one tree. It goes on after an error, and tells the first one.
type remover struct {
	top   *os.File
	moved int // counts what was moved to the top
	first error
}

func removeTree(folder *os.File, name string) error {
	parent := int(folder.Fd())
	err := unlinkAt(parent, name, 0)
	if err == nil || !isFolder(err) {
		return pathError("unlinkat", name, err)
	}
	top, err := openFolder(parent, name)
	if err != nil {
		return err
	}
	defer top.Close()
	r := remover{top: top}
	for moved := -1; r.first == nil && moved < r.moved; {
		moved = r.moved // each round may bring folders from the depth to the top
		r.empty(top, 1)
	}
	if r.first != nil {
		return r.first
	}
	return pathError("rmdir", name, unlinkAt(parent, name, unix.AT_REMOVEDIR))
}

// empty deletes what is in a folder.
func (r *remover) empty(folder *os.File, depth int) {
	if _, err := folder.Seek(0, io.SeekStart); err != nil {
		r.note(err)
		return
	}
	fd := int(folder.Fd())
	for {
		names, err := folder.Readdirnames(1024)
		for _, name := range names {
			r.entry(fd, name, depth)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			r.note(err)
			return
		}
	}
}

func (r *remover) entry(parent int, name string, depth int) {
	err := unlinkAt(parent, name, 0)
	if err == nil {
		return
	}
	if !isFolder(err) {
		r.note(pathError("unlinkat", name, err))
		return
	}
	if err := unlinkAt(parent, name, unix.AT_REMOVEDIR); err == nil {
		return
	}
	if depth >= maxDepth {
		r.moveUp(parent, name)
		return
	}
	folder, err := openFolder(parent, name)
	if err != nil {
		r.note(err)
		return
	}
	r.empty(folder, depth+1)
	folder.Close()
	if err := unlinkAt(parent, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		r.note(pathError("rmdir", name, err))
	}
}

// moveUp renames a folder to the top of the tree under a name that is free there.
func (r *remover) moveUp(parent int, name string) {
	// A folder that moves gets a new "..", so its own mode must allow writing.
	if folder, err := openFolder(parent, name); err == nil {
		folder.Close()
	}
	for {
		r.moved++
		err := unix.Renameat2(parent, name, int(r.top.Fd()), ".deep-"+strconv.Itoa(r.moved), unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			r.note(pathError("rename", name, err))
			return
		}
	}
}

func (r *remover) note(err error) {
	if r.first == nil {
		r.first = err
	}
}

// isFolder tells whether unlink refused because of a folder, or cannot be told to.
func isFolder(err error) bool {
	return errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM)
}

func pathError(call, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: call, Path: name, Err: err}
}

func unlinkAt(parent int, name string, flags int) error {
	for {
		err := unix.Unlinkat(parent, name, flags)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOENT):
			return nil
		default:
			return err
		}
	}
}

// openFolder opens a folder for reading and deleting; where its mode forbids that
// to its owner, the mode is changed first. What is mounted in a tree is not of it: a
// mount that could not be taken away (EXDEV) must not lose its files.
func openFolder(parent int, name string) (*os.File, error) {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	open := func(flags uint64) (int, error) {
		return unix.Openat2(parent, name, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS})
	}
	fd, err := open(unix.O_RDONLY | flags)
	if err == nil {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&0o700 != 0o700 {
			unix.Fchmod(fd, 0o700) // where that does not help, the next call tells
		}
		return os.NewFile(uintptr(fd), name), nil
	}
	if !errors.Is(err, unix.EACCES) {
		return nil, pathError("open", name, err)
	}
	path, err := open(unix.O_PATH | flags)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	defer unix.Close(path)
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(path), 0o700); err != nil {
		return nil, pathError("chmod", name, err)
	}
	if fd, err = unix.Openat(path, ".", unix.O_RDONLY|flags, 0); err != nil {
		return nil, pathError("open", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
