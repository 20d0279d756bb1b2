package unpack

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// create runs make, and once more after it removed what stood in its way.
func (a *applier) create(parent int, base string, make func() error) error {
	err := make()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := a.remove(parent, base); err != nil {
		return fmt.Errorf("replacing an earlier entry: %w", err)
	}
	return make()
}

// file makes a regular file. Its mode comes with its creation, but for the bits
// that chown(2) would clear again.
func (a *applier) file(parent int, base string, h *tar.Header, content io.Reader) error {
	if h.Size > maxSparse && isSparse(h) {
		return fmt.Errorf("sparse file of %d bytes", h.Size)
	}
	mode := uint32(h.Mode) & 0o7777
	fd := -1
	err := a.create(parent, base, func() (err error) {
		fd, err = unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode&0o777)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if h.Size > 0 {
		n, err := a.copy(fd, content, isSparse(h))
		a.result.Size += n
		if err != nil {
			return err
		}
	}
	mode, err = a.own(h, mode, fd, func(uid, gid int) error { return unix.Fchown(fd, uid, gid) })
	if err != nil {
		return err
	}
	if mode&^0o777 != 0 || a.options != nil { // the caller's umask may have cut it
		if err := unix.Fchmod(fd, mode); err != nil {
			return fmt.Errorf("setting its mode: %w", err)
		}
	}
	if err := a.attributes(fd, h); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(parent, base, timesOf(h), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("setting its times: %w", err)
	}
	return nil
}

// isSparse tells a file whose holes the archive only describes (tar(5), GNU).
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for _, key := range []string{"GNU.sparse.major", "GNU.sparse.size", "GNU.sparse.realsize", "GNU.sparse.map"} {
		if _, ok := h.PAXRecords[key]; ok {
			return true
		}
	}
	return false
}

// copy writes the content to fd, leaving holes where a sparse file has zeros.
func (a *applier) copy(fd int, content io.Reader, sparse bool) (size int64, err error) {
	for {
		n, err := io.ReadFull(content, a.buffer)
		data := a.buffer[:n]
		if sparse && zero(data) {
			if err := unix.Ftruncate(fd, size+int64(n)); err != nil {
				return size, fmt.Errorf("writing: %w", err)
			}
			if _, err := unix.Seek(fd, int64(n), unix.SEEK_CUR); err != nil {
				return size, fmt.Errorf("writing: %w", err)
			}
			size += int64(n)
			data = nil
		}
		for len(data) > 0 {
			w, err := unix.Write(fd, data)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return size, fmt.Errorf("writing: %w", err)
			}
			data = data[w:]
			size += int64(w)
		}
		switch {
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF) && n > 0:
			// The archive's reader says ErrUnexpectedEOF itself where the archive ends
			// too early; ReadFull says it for a last part that does not fill the buffer.
			_, end := content.Read(a.buffer[:1])
			if end == io.EOF {
				return size, nil
			}
			return size, fmt.Errorf("reading the archive: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return size, fmt.Errorf("reading the archive: %w", err)
		}
	}
}

func zero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}

// ownerRights are what the owner of a directory needs to make something in it.
const ownerRights = 0o700

// folder makes a directory, or takes over one that stands there.
func (a *applier) folder(parent int, name, base string, h *tar.Header) error {
	mode := uint32(h.Mode) & 0o7777
	first := mode
	if a.options != nil {
		first |= ownerRights // others than root unpack as well
	}
	err := unix.Mkdirat(parent, base, first&0o777)
	there := errors.Is(err, unix.EEXIST)
	if there {
		err = a.takeOver(parent, base, first)
	}
	if err != nil {
		return err
	}
	delete(a.implicit, name)
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return a.folderAttributes(fd, name, h, mode, there)
}

// takeOver prepares what stands where a directory is wanted.
func (a *applier) takeOver(parent int, base string, mode uint32) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil
	}
	if a.keeps() {
		return errFileInWay
	}
	hides := a.options == nil && isWhiteout(&st)
	if err := a.remove(parent, base); err != nil {
		return fmt.Errorf("replacing an earlier entry: %w", err)
	}
	if err := unix.Mkdirat(parent, base, mode&0o777); err != nil {
		return err
	}
	if hides {
		// The layer hides a directory and makes a new one of that name: nothing of
		// the old one may shine through.
		return setXattrAt(parent, base, opaqueXattr, []byte("y"))
	}
	return nil
}

// folderAttributes gives an open directory its owner, mode and attributes, and notes
// its times. there says that it was not just made, with most of its mode.
func (a *applier) folderAttributes(fd int, name string, h *tar.Header, mode uint32, there bool) error {
	mode, err := a.own(h, mode, fd, func(uid, gid int) error { return unix.Fchown(fd, uid, gid) })
	if err != nil {
		return err
	}
	first, last := mode, (*uint32)(nil)
	if a.options != nil && mode&ownerRights != ownerRights {
		first, last = mode|ownerRights, &mode
	}
	if mode&^0o777 != 0 || there || a.options != nil {
		if err := unix.Fchmod(fd, first); err != nil {
			return fmt.Errorf("setting its mode: %w", err)
		}
	}
	if err := a.note(name); err != nil {
		return err
	}
	a.times = append(a.times, dirTime{name, h.AccessTime, h.ModTime, last})
	return a.attributes(fd, h)
}

// rootAttributes is for the entry of the image's root itself.
func (a *applier) rootAttributes(h *tar.Header) error {
	fd, err := unix.Openat(a.root, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return a.folderAttributes(fd, "", h, uint32(h.Mode)&0o7777, true)
}

// symlink makes a symbolic link. Where it leads is nobody's business here.
func (a *applier) symlink(parent int, base string, h *tar.Header) error {
	err := a.create(parent, base, func() error { return unix.Symlinkat(h.Linkname, parent, base) })
	if err != nil {
		return err
	}
	return a.dress(parent, base, h)
}

// dress gives what cannot be opened its owner and times.
func (a *applier) dress(parent int, base string, h *tar.Header) error {
	_, err := a.own(h, 0, -1, func(uid, gid int) error {
		return unix.Fchownat(parent, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(parent, base, timesOf(h), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("setting its times: %w", err)
	}
	return nil
}

// link makes a hard link to an earlier entry of the same layer. The target's last
// component is not followed, its directories are resolved inside the root.
func (a *applier) link(parent int, base string, h *tar.Header) error {
	target, err := cleanName(h.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(h.Linkname), err)
	}
	target = a.place(target)
	if a.devices[target] {
		a.result.Devices++
		return nil
	}
	folder, targetBase := split(target)
	if targetBase == "" {
		return errors.New("hard link to the root")
	}
	from, cached := a.cache.get(folder)
	if !cached {
		if from, err = a.open(cmp.Or(folder, "."), unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return fmt.Errorf("hard link to %q: %w", shorten(target), err)
		}
		defer unix.Close(from)
	}
	err = unix.Linkat(from, targetBase, parent, base, 0)
	if errors.Is(err, unix.EEXIST) {
		if sameFile(from, targetBase, parent, base) {
			return nil // the link stands already; removing it might remove the only one
		}
		err = a.create(parent, base, func() error { return unix.Linkat(from, targetBase, parent, base, 0) })
	}
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(target), err)
	}
	return nil
}

func sameFile(dir1 int, name1 string, dir2 int, name2 string) bool {
	var one, two unix.Stat_t
	return unix.Fstatat(dir1, name1, &one, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstatat(dir2, name2, &two, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		one.Dev == two.Dev && one.Ino == two.Ino
}

// fifo makes a named pipe.
func (a *applier) fifo(parent int, base string, h *tar.Header) error {
	mode := uint32(h.Mode) & 0o7777
	err := a.create(parent, base, func() error { return unix.Mknodat(parent, base, unix.S_IFIFO|mode&0o777, 0) })
	if err != nil {
		return err
	}
	return a.dress(parent, base, h)
}
