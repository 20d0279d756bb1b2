package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// remapper copies a tree, giving each file to whom its owner is by a mapping. Folders
// are independent of each other once they exist, so several are at work at once.
type remapper struct {
	source, target int // the roots
	mapping        *userns.Mapping
	bytes          atomic.Int64

	mu     sync.Mutex
	wake   *sync.Cond
	todo   []string // folders, from the roots, that exist on both sides
	busy   int
	failed error

	links sync.Mutex
	first map[inode]string // of each file with several names, the one that is there
}

// smallFile is up to which size a file is copied by a read and a write: to ask the
// kernel to share or copy its blocks takes longer.
const smallFile = 64 << 10

// remapTree copies all that is in the folder source to target, an empty one, and tells
// how far it is.
func remapTree(source, target int, m *userns.Mapping, progress *os.File) error {
	r := &remapper{source: source, target: target, mapping: m, todo: []string{"."}, first: map[inode]string{}}
	r.wake = sync.NewCond(&r.mu)
	over := make(chan struct{})
	go func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(100 * time.Millisecond):
				fmt.Fprintln(progress, r.bytes.Load())
			}
		}
	}()
	defer close(over)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(r.work)
	}
	workers.Wait()
	return r.failed
}

// work takes folders until none is left and nobody can find another.
func (r *remapper) work() {
	buffer := make([]byte, smallFile)
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		for len(r.todo) == 0 && r.busy > 0 && r.failed == nil {
			r.wake.Wait()
		}
		if len(r.todo) == 0 || r.failed != nil {
			r.wake.Broadcast()
			return
		}
		name := r.todo[len(r.todo)-1]
		r.todo = r.todo[:len(r.todo)-1]
		r.busy++
		r.mu.Unlock()
		below, err := r.folder(name, buffer)
		r.mu.Lock()
		r.busy--
		r.todo = append(r.todo, below...)
		if err != nil && r.failed == nil {
			r.failed = err
		}
		r.wake.Broadcast()
	}
}

// folder copies what is in one folder and then, as its times change with its content,
// what it is itself. The folders in it are made, and returned.
func (r *remapper) folder(name string, buffer []byte) (below []string, err error) {
	from, err := openBeneath(r.source, name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	defer unix.Close(from)
	to, err := openBeneath(r.target, name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	defer unix.Close(to)
	names, err := namesIn(from)
	if err != nil {
		return nil, err
	}
	for _, base := range names {
		var st unix.Stat_t
		whole := path.Join(name, base)
		if err := unix.Fstatat(from, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, pathError("lstat", whole, err)
		}
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			err = pathError("mkdir", whole, unix.Mkdirat(to, base, 0o700))
			below = append(below, whole)
		case st.Nlink > 1:
			err = r.linked(from, to, base, whole, &st, buffer)
		default:
			err = r.leaf(from, to, base, whole, &st, buffer)
		}
		if err != nil {
			return nil, err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return nil, pathError("fstat", name, err)
	}
	return below, r.attributes(from, to, name, &st)
}

// openBeneath opens a folder of a tree in which nobody makes links meanwhile; one
// that an image has is not followed in any case.
func openBeneath(root int, name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(root, name, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// linked copies a file with several names once, and links the others to it.
func (r *remapper) linked(from, to int, base, whole string, st *unix.Stat_t, buffer []byte) error {
	r.links.Lock()
	defer r.links.Unlock()
	key := inode{st.Dev, st.Ino}
	if first, ok := r.first[key]; ok {
		return pathError("link", whole, unix.Linkat(r.target, first, to, base, 0))
	}
	r.first[key] = whole
	return r.leaf(from, to, base, whole, st, buffer)
}

// leaf copies what is no folder.
func (r *remapper) leaf(from, to int, base, whole string, st *unix.Stat_t, buffer []byte) error {
	uid, gid, mode := r.owner(st)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return r.file(from, to, base, whole, st, buffer)
	case unix.S_IFCHR: // a whiteout: no other device is in a layer
		return pathError("mknod", whole, unix.Mknodat(to, base, unix.S_IFCHR, int(st.Rdev)))
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(from, base, target)
		if err != nil {
			return pathError("readlink", whole, err)
		}
		if err := unix.Symlinkat(string(target[:n]), to, base); err != nil {
			return pathError("symlink", whole, err)
		}
	case unix.S_IFIFO:
		if err := unix.Mknodat(to, base, unix.S_IFIFO|0o600, 0); err != nil {
			return pathError("mkfifo", whole, err)
		}
	default:
		return nil // sockets mean nothing
	}
	if err := unix.Fchownat(to, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("chown", whole, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFIFO {
		if err := unix.Fchmodat(to, base, mode, 0); err != nil {
			return pathError("chmod", whole, err)
		}
	}
	return pathError("utimensat", whole, unix.UtimesNanoAt(to, base, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
}

func (r *remapper) file(from, to int, base, whole string, st *unix.Stat_t, buffer []byte) error {
	source, err := unix.Openat(from, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", whole, err)
	}
	defer unix.Close(source)
	target, err := unix.Openat(to, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return pathError("create", whole, err)
	}
	defer unix.Close(target)
	if st.Size <= int64(len(buffer)) {
		err = copySmall(source, target, buffer)
	} else {
		err = content(source, target, st.Size)
	}
	if err != nil {
		return pathError("copy", whole, err)
	}
	r.bytes.Add(st.Size)
	return r.attributes(source, target, whole, st)
}

// copySmall copies a file by hand; its size is that of the buffer at most.
func copySmall(from, to int, buffer []byte) error {
	n, err := unix.Read(from, buffer)
	if err != nil || n == 0 {
		return err
	}
	m, err := unix.Write(to, buffer[:n])
	if err == nil && m < n {
		err = unix.ENOSPC // what a short write to a file means
	}
	return err
}

// owner is whom a file belongs to for the container, and its mode. One whose owner
// the container does not have is its root's, and must not lend that one's rights.
func (r *remapper) owner(st *unix.Stat_t) (uid, gid int, mode uint32) {
	mode = st.Mode & 0o7777
	root := r.mapping.Root()
	u, ok := userns.Outside(r.mapping.UIDs, st.Uid)
	if !ok {
		u, _ = userns.Outside(r.mapping.UIDs, root[0])
		mode &^= unix.S_ISUID
	}
	g, ok := userns.Outside(r.mapping.GIDs, st.Gid)
	if !ok {
		g, _ = userns.Outside(r.mapping.GIDs, root[1])
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			mode &^= unix.S_ISGID
		}
	}
	return int(u), int(g), mode
}

// attributes gives an open file or folder what another has: owner, extended attributes,
// mode, times. The owner comes first, as changing it drops set-id bits and capabilities.
func (r *remapper) attributes(from, to int, whole string, st *unix.Stat_t) error {
	uid, gid, mode := r.owner(st)
	if err := unix.Fchown(to, uid, gid); err != nil {
		return pathError("chown", whole, err)
	}
	if err := r.extended(from, to); err != nil {
		return pathError("setxattr", whole, err)
	}
	if err := unix.Fchmod(to, mode); err != nil {
		return pathError("chmod", whole, err)
	}
	times := [2]unix.Timespec{st.Atim, st.Mtim}
	return pathError("utimensat", whole, unix.UtimesNanoAt(to, "", times[:], unix.AT_EMPTY_PATH))
}

// extended copies extended attributes, overlayfs's among them, but for those that the
// user namespace may not set.
func (r *remapper) extended(from, to int) error {
	size, err := unix.Flistxattr(from, nil)
	if err != nil || size == 0 {
		return nil // none, or a file system without them
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(from, list); err != nil {
		return err
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for _, name := range splitZero(list[:size]) {
		n, err := unix.Fgetxattr(from, name, value)
		if err != nil {
			continue
		}
		data := value[:n]
		if strings.HasPrefix(name, "system.posix_acl_") {
			data = r.acl(data)
		}
		if err := unix.Fsetxattr(to, name, data, 0); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return nil
}

// The layout of system.posix_acl_* (linux/posix_acl_xattr.h): a version, then entries
// of tag, permissions and id.
const (
	aclHead  = 4
	aclEntry = 8
	aclUser  = 0x02
	aclGroup = 0x08
)

// acl changes the ids of an access control list.
func (r *remapper) acl(data []byte) []byte {
	for at := aclHead; at+aclEntry <= len(data); at += aclEntry {
		maps := r.mapping.UIDs
		switch binary.LittleEndian.Uint16(data[at:]) {
		case aclUser:
		case aclGroup:
			maps = r.mapping.GIDs
		default:
			continue
		}
		id := data[at+4:]
		if out, ok := userns.Outside(maps, binary.LittleEndian.Uint32(id)); ok {
			binary.LittleEndian.PutUint32(id, out)
		}
	}
	return data
}
