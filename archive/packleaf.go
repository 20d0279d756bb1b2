package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// leaf packs what is no directory, open for looks alone.
func (p *packer) leaf(f *os.File, name string, st *unix.Stat_t) error {
	key := inode{st.Dev, st.Ino}
	if first, again := p.links[key]; again {
		h := p.header(name, tar.TypeLink, st)
		h.Linkname = first
		return p.write(h)
	}
	var err error
	switch kind := st.Mode & unix.S_IFMT; kind {
	case unix.S_IFREG:
		err = p.file(f, name, st)
	case unix.S_IFLNK:
		err = p.symlink(f, name, st)
	case unix.S_IFIFO:
		err = p.write(p.header(name, tar.TypeFifo, st))
	case unix.S_IFCHR, unix.S_IFBLK:
		h := p.header(name, tar.TypeChar, st)
		if kind == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
		err = p.write(h)
	default:
		p.packed.Sockets++
		return nil
	}
	if err == nil && st.Nlink > 1 {
		p.links[key] = name
	}
	return err
}

func (p *packer) symlink(f *os.File, name string, st *unix.Stat_t) error {
	target, err := readlink(f)
	if err != nil {
		return err
	}
	h := p.header(name, tar.TypeSymlink, st)
	h.Linkname = target
	return p.write(h)
}

// file packs a regular file with the size that it has now, whatever becomes of it
// while it is read.
func (p *packer) file(looked *os.File, name string, st *unix.Stat_t) error {
	f, err := p.tree.openFile(looked)
	if err != nil {
		return within(name, err)
	}
	defer f.Close()
	h := p.header(name, tar.TypeReg, st)
	addAttributes(h, int(f.Fd()))
	switch {
	case p.mountedOn(looked):
		st.Size, st.Blocks = 0, 0 // what is mounted on it is not the tree's
	case p.generated(looked, st):
		return p.unsized(f, h)
	}
	h.Size = st.Size
	if st.Blocks*512 < st.Size {
		if parts, err := dataOf(f, st.Size); err == nil {
			return p.sparse(f, h, parts)
		}
	}
	if err := p.write(h); err != nil {
		return err
	}
	return p.copy(p.tar, f, name, st.Size)
}

// copy writes so many bytes of a file, zeros in place of those that it lost meanwhile.
func (p *packer) copy(w io.Writer, f io.Reader, name string, size int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(f, size), p.buffer)
	if err != nil {
		return fmt.Errorf("packing %q: %w", name, err)
	}
	if n == size {
		return nil
	}
	p.packed.Short++
	clear(p.buffer)
	for ; n < size; n += int64(len(p.buffer)) {
		if _, err := w.Write(p.buffer[:min(size-n, int64(len(p.buffer)))]); err != nil {
			return fmt.Errorf("packing %q: %w", name, err)
		}
	}
	return nil
}

// attributeRecord precedes the names of extended attributes in PAX headers.
const attributeRecord = "SCHILY.xattr."

// addAttributes notes the extended attributes of an open file, those apart that
// belong to the file systems which skiff mounts.
func addAttributes(h *tar.Header, fd int) {
	var list [4096]byte
	n, err := unix.Flistxattr(fd, list[:])
	buffer := list[:max(n, 0)]
	if errors.Is(err, unix.ERANGE) {
		buffer = make([]byte, 64<<10) // XATTR_LIST_MAX
		if n, err = unix.Flistxattr(fd, buffer); err == nil {
			buffer = buffer[:n]
		}
	}
	if err != nil || n <= 0 {
		return
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buffer), "\x00"), "\x00") {
		switch {
		case strings.HasPrefix(name, "user.overlay."), strings.HasPrefix(name, "user.fuseoverlayfs."), strings.HasPrefix(name, "user.containers."):
			continue
		case strings.HasPrefix(name, "user."), name == "security.capability", strings.HasPrefix(name, "system.posix_acl_"):
		default:
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil || strings.Contains(name, "=") {
			continue // a record's key ends there
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[attributeRecord+name] = string(value[:n])
	}
}
