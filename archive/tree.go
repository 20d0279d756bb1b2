package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Tree is a directory that is taken for "/".
type Tree struct {
	Root *os.File
	IDs  IDs // what the owners of its files are called

	self *os.File // /proc/self/fd of the host, which a stage whose root is the container's does not see
}

// NewTree takes over the directory.
func NewTree(root *os.File, ids IDs) (*Tree, error) {
	self, err := os.OpenFile("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a tree: %w", err)
	}
	return &Tree{Root: root, IDs: ids, self: self}, nil
}

// Close lets go of the directory.
func (t *Tree) Close() error { return errors.Join(t.Root.Close(), t.self.Close()) }

// Info is what stands at a path.
type Info struct {
	Name string // the last component as it was asked for; "." for a directory's content alone
	Mode fs.FileMode
	Size int64
}

// IsDir tells whether it is a directory.
func (i *Info) IsDir() bool { return i.Mode.IsDir() }

// Place is where a copy goes: what stands there, and the directory that it stands in
// when symbolic links at its end are followed.
type Place struct {
	Exists bool
	Mode   fs.FileMode
	Folder string // exists, where Place was found; of a directory itself where that exists
	Base   string // the name in Folder; "" where a directory exists
}

// IsDir tells whether a directory is there.
func (p *Place) IsDir() bool { return p.Exists && p.Mode.IsDir() }

// openBeneath opens a path below root as if root were "/": absolute symbolic links
// and ".." stay inside, and links of /proc that lead elsewhere are refused.
func openBeneath(root *os.File, name string, flags int) (*os.File, error) {
	defer runtime.KeepAlive(root)
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(int(root.Fd()), "./"+strings.TrimLeft(name, "/"), &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN): // something was renamed, anywhere on this machine
			runtime.Gosched()
		default:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// clean makes a path absolute, and keeps a trailing slash or dot, which says that a
// directory is meant.
func clean(name string) string {
	cleaned := path.Join("/", name)
	if cleaned == "/" {
		return cleaned
	}
	switch {
	case contentOnly(name):
		return cleaned + "/."
	case strings.HasSuffix(name, "/"):
		return cleaned + "/"
	}
	return cleaned
}

// contentOnly tells whether a path means what is in a directory and not the directory: "dir/.".
func contentOnly(name string) bool { return name == "." || strings.HasSuffix(name, "/.") }

// baseOf is the name under which a source is packed.
func baseOf(name string) string {
	if contentOnly(name) || path.Join("/", name) == "/" {
		return "."
	}
	return path.Base(path.Join("/", name))
}

// open opens a path for looks alone. A symbolic link at its end is followed where
// follow is set or the path says that it is a directory.
func (t *Tree) open(name string, follow bool) (*os.File, *unix.Stat_t, error) {
	flags := unix.O_PATH
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := openBeneath(t.Root, name, flags)
	if err != nil {
		return nil, nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return f, &st, nil
}

// Stat tells what stands at a path. Symbolic links at its end are followed where
// follow is set or the path ends in "/" or "/.".
func (t *Tree) Stat(name string, follow bool) (*Info, error) {
	f, st, err := t.open(clean(name), follow)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return &Info{Name: baseOf(name), Mode: fileMode(st.Mode), Size: st.Size}, nil
}

// maxLinks bounds how many symbolic links a destination may be, one leading to the next.
const maxLinks = 40

// Place finds where a copy to a path goes. What the path leads to need not exist, but
// the directory that it would be in.
func (t *Tree) Place(name string) (*Place, error) {
	name = clean(name)
	for range maxLinks {
		f, st, err := t.open(name, false)
		if errors.Is(err, fs.ErrNotExist) {
			return t.missing(name)
		}
		if err != nil {
			return nil, err
		}
		mode := fileMode(st.Mode)
		if mode&fs.ModeSymlink == 0 {
			f.Close()
			if mode.IsDir() {
				return &Place{Exists: true, Mode: mode, Folder: name}, nil
			}
			folder, base := path.Split(name)
			return &Place{Exists: true, Mode: mode, Folder: folder, Base: base}, nil
		}
		target, err := readlink(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(target, "/") {
			// Not cleaned: ".." is meant of where the links before it lead to.
			folder, _ := path.Split(name)
			target = folder + target
		}
		name = target
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

// missing is the place of what does not exist yet.
func (t *Tree) missing(name string) (*Place, error) {
	folder, base := path.Split(strings.TrimSuffix(strings.TrimSuffix(name, "."), "/"))
	if base == "" || base == "." || base == ".." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ENOENT}
	}
	f, err := openBeneath(t.Root, folder, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	f.Close()
	return &Place{Folder: folder, Base: base}, nil
}

// openFile opens what a descriptor for looks alone stands for, a regular file. No name
// is looked up: it cannot have come to mean something else.
func (t *Tree) openFile(f *os.File) (*os.File, error) {
	fd, err := unix.Openat(int(t.self.Fd()), strconv.Itoa(int(f.Fd())), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// openFolder is openFile for a directory.
func openFolder(f *os.File) (*os.File, error) {
	fd, err := unix.Openat(int(f.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func readlink(link *os.File) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(link.Fd()), "", buffer)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: link.Name(), Err: err}
	}
	return string(buffer[:n]), nil
}

// fileMode turns the mode of stat(2) into Go's.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, meant := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= meant
		}
	}
	switch bits & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	}
	return mode
}
