package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// sizeStage sums up a tree as root of the user namespace, who may read the folders of
// subordinate ids. Its descriptor "folder" is the tree's top.
const sizeStage = "skiff-size"

// Written is the sum of the sizes of the regular files that a container has written,
// one with several names counted once.
func (s *Store) Written(c *Container) (bytes int64, err error) {
	top, err := os.Open(filepath.Join(c.Dir, "upper"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("measuring container %.12s: %w", c.ID, err)
	}
	defer top.Close()
	bytes, err = treeSize(top)
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		var out []byte
		if out, err = s.runStage([]string{sizeStage}, 0, userns.File{Name: "folder", File: top}); err == nil {
			bytes, err = strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("measuring container %.12s: %w", c.ID, err)
	}
	return bytes, nil
}

// size is the stage.
func size() int {
	top, err := userns.Passed("folder")
	if err == nil {
		err = userns.DieWithParent()
	}
	var bytes int64
	if err == nil {
		bytes, err = treeSize(top)
	}
	if err != nil {
		return complain(err)
	}
	fmt.Println(bytes)
	return 0
}

// treeSize walks a tree that its container may be changing: each folder is opened from
// the top, through no symbolic link. What goes meanwhile is not counted.
func treeSize(top *os.File) (bytes int64, err error) {
	w := sizeWalk{top: top, seen: map[uint64]struct{}{}}
	for folders := []string{"."}; len(folders) > 0; {
		last := len(folders) - 1
		name := folders[last]
		below, err := w.folder(name)
		if err != nil {
			return 0, err
		}
		folders = append(folders[:last], below...)
	}
	return w.bytes, nil
}

type sizeWalk struct {
	top   *os.File
	seen  map[uint64]struct{} // inodes with several names; the tree is on one file system
	bytes int64
}

// folder counts the files of one folder and returns the folders in it. One whose path
// is too long to be opened is left out.
func (w *sizeWalk) folder(name string) (below []string, err error) {
	fd, err := unix.Openat2(int(w.top.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EXDEV):
		return nil, nil
	case err != nil:
		return nil, &os.PathError{Op: "openat2", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, entry := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(int(f.Fd()), entry, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			below = append(below, filepath.Join(name, entry))
		case unix.S_IFREG:
			if _, again := w.seen[st.Ino]; again {
				continue
			}
			if st.Nlink > 1 {
				w.seen[st.Ino] = struct{}{}
			}
			w.bytes += st.Size
		}
	}
	return below, nil
}
