package archive

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PackOptions say what of a tree becomes an archive.
type PackOptions struct {
	Path   string // its last component may be a symbolic link, which is packed as such
	Follow bool   // but not then
	Name   string // of the first entry, and what those below it begin with; "." begins nothing
	Inside bool   // with the name ".", the directory itself has no entry
	// OneSystem leaves out what is mounted below Path; what it is mounted on is packed
	// empty.
	OneSystem bool
}

// Packed says what an archive holds.
type Packed struct {
	Size    int64 // bytes of the archive, but for extensions of the format: what Docker tells
	Sockets int   // left out, as no archive holds them
	Short   int   // files that became shorter while they were read, filled up with zeros
}

// Pack writes the archive of a path. Nothing is followed on the way but what leads to
// Path itself: a directory that is exchanged for a link meanwhile is not entered.
// Entries of a directory are sorted by name.
func (t *Tree) Pack(o PackOptions, w io.Writer) (*Packed, error) {
	first, st, err := t.open(clean(o.Path), o.Follow)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	out := bufio.NewWriterSize(w, 256<<10)
	p := &packer{tree: t, options: o, out: out, tar: tar.NewWriter(out), mount: mountOf(first), links: map[inode]string{}, kernels: map[uint64]bool{}, buffer: make([]byte, 256<<10)}
	if devices, _, err := t.open("/dev", false); err == nil {
		p.devices = mountOf(devices)
		devices.Close()
	}
	if err := p.first(first, st); err != nil {
		return nil, p.inSource(err)
	}
	if err := p.tar.Close(); err != nil {
		return nil, fmt.Errorf("writing the archive: %w", err)
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("writing the archive: %w", err)
	}
	p.packed.Size += 2 * block
	return &p.packed, nil
}

// block is what everything in an archive is a multiple of (tar(5)).
const block = 512

// inode names a file with several names.
type inode struct{ device, number uint64 }

type packer struct {
	tree    *Tree
	options PackOptions
	out     *bufio.Writer // below tar
	tar     *tar.Writer
	mount   uint64           // that Path is on
	devices uint64           // that /dev is on
	links   map[inode]string // the first name of each file with several
	kernels map[uint64]bool  // whether a device is one of the kernel's own file systems
	packed  Packed
	buffer  []byte
}

// first packs what Path leads to.
func (p *packer) first(f *os.File, st *unix.Stat_t) error {
	name := p.options.Name
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return p.leaf(f, name, st)
	}
	dir, err := openFolder(f)
	if err != nil {
		return err
	}
	defer dir.Close()
	if name == "." && p.options.Inside {
		return p.content(dir, "")
	}
	return p.folder(dir, name, st)
}

// folder packs an open directory and what is in it.
func (p *packer) folder(dir *os.File, name string, st *unix.Stat_t) error {
	if len(name) >= unix.PathMax {
		return fmt.Errorf("packing %.64q…: %w", name, unix.ENAMETOOLONG)
	}
	h := p.header(name+"/", tar.TypeDir, st)
	addAttributes(h, int(dir.Fd()))
	if err := p.write(h); err != nil {
		return err
	}
	if p.mountedOn(dir) || p.runtimes(dir) {
		return nil
	}
	return p.content(dir, name)
}

// content packs what is in an open directory.
func (p *packer) content(dir *os.File, name string) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("packing %q: %w", name, err)
	}
	slices.Sort(names)
	for _, base := range names {
		if base == "" || base == "." || base == ".." || strings.Contains(base, "/") {
			continue // of a file system that the container made up
		}
		if err := p.entry(dir, base, path.Join(name, base)); err != nil {
			return err
		}
	}
	return nil
}

// entry packs one name of an open directory. What has gone since it was listed is left out.
func (p *packer) entry(dir *os.File, base, name string) error {
	fd, err := unix.Openat(int(dir.Fd()), base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return p.leaf(f, name, &st)
	}
	sub, err := openFolder(f)
	if err != nil {
		return within(name, err)
	}
	defer sub.Close()
	return p.folder(sub, name, &st)
}

// within gives an error of opening a file its name in the archive: the last part alone
// would not tell which it is.
func within(name string, err error) error {
	var of *fs.PathError
	if !errors.As(err, &of) {
		return err
	}
	return &fs.PathError{Op: of.Op, Path: name, Err: of.Err}
}

// inSource gives an error of opening a file the path that the file has where it comes
// from: the archive calls it by what it becomes.
func (p *packer) inSource(err error) error {
	var of *fs.PathError
	if !errors.As(err, &of) || path.IsAbs(of.Path) {
		return err
	}
	below, named := of.Path, true
	if name := p.options.Name; name != "." {
		below, named = strings.CutPrefix(below, name)
	}
	if !named {
		return err
	}
	return &fs.PathError{Op: of.Op, Path: path.Join("/", p.options.Path, below), Err: of.Err}
}

// mountedOn tells whether something is another mount's, where that matters. The device
// would not tell: an overlay shows files of several.
func (p *packer) mountedOn(f *os.File) bool {
	return p.options.OneSystem && mountOf(f) != p.mount
}

// runtimes tells whether a directory below Path is on a mount that each container is
// given anew and that holds no files to keep: the kernel's own file systems, and /dev.
// As with docker they are packed empty, but not where Path itself is on them.
func (p *packer) runtimes(dir *os.File) bool {
	mount := mountOf(dir)
	if mount == p.mount || mount == p.devices {
		return mount != p.mount
	}
	var fs unix.Statfs_t
	if unix.Fstatfs(int(dir.Fd()), &fs) != nil {
		return false
	}
	switch int64(fs.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC:
		return true
	}
	return false
}

// mountOf is the number of the mount that an open file is on; 0 before Linux 5.8.
func mountOf(f *os.File) uint64 {
	var st unix.Statx_t
	if unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st) != nil {
		return 0
	}
	return st.Mnt_id
}

func (p *packer) header(name string, kind byte, st *unix.Stat_t) *tar.Header {
	h := &tar.Header{Typeflag: kind, Name: name, Mode: int64(st.Mode & 0o7777), ModTime: time.Unix(st.Mtim.Unix())}
	h.Uid, h.Gid = p.tree.IDs.Named(st.Uid, st.Gid)
	if st.Mtim.Nsec != 0 {
		h.Format = tar.FormatPAX // the one with parts of seconds
	}
	return h
}

func (p *packer) write(h *tar.Header) error {
	if err := p.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("packing %q: %w", h.Name, err)
	}
	p.packed.Size += block + (h.Size+block-1)/block*block
	return nil
}
