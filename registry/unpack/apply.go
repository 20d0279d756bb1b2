package unpack

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Result says what was unpacked.
type Result struct {
	Size       int64 // bytes of regular files
	Entries    int
	Devices    int      // device nodes passed over: a user namespace may not make them
	Squashed   int      // entries whose owner has no id in the user namespace
	Attributes int      // extended attributes that could not be set, or must not be
	Implicit   []string // directories not listed, but made for entries below them; "" is the root; sorted
	Whiteouts  bool     // something of the layers below is hidden
}

// Bounds on what one layer may ask for. Real layers stay far below.
const (
	maxEntries    = 8 << 20
	maxImplicit   = 16 << 20  // bytes of the names of directories not listed
	maxNoted      = 256 << 20 // bytes of what is kept until the end, of directories and devices
	maxName       = unix.PathMax
	maxAttributes = 128
	maxAttribute  = 64 << 10  // XATTR_SIZE_MAX of the kernel
	maxSparse     = 256 << 30 // bytes of a file with holes, which cost the archive nothing
)

const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	opaqueXattr    = "user.overlay.opaque"
)

// applier is one layer being unpacked.
type applier struct {
	root         int
	options      *Options // nil: the archive is a layer
	into         string   // Options.Into, clean
	cache        dirCache
	stale        bool // a directory or symbolic link was replaced, so the cache may be wrong
	result       Result
	implicit     map[string]bool
	implicitSize int
	noted        int
	times        []dirTime       // of directories, set last: each entry below would change them, or could not be made
	devices      map[string]bool // names passed over, so that hard links to them are as well
	buffer       []byte
}

type dirTime struct {
	path         string
	access, mtim time.Time
	mode         *uint32 // nil: it has its mode
}

// Apply unpacks the archive into the directory root, which is empty, and reads
// it to its end. The caller's umask is 0, and it may set any owner of its user
// namespace. On an error the directory holds what was unpacked until then.
func Apply(root *os.File, archive io.Reader) (*Result, error) {
	a := newApplier(root)
	defer runtime.KeepAlive(root) // its descriptor is used all along
	defer func() { a.cache.flush() }()
	if err := a.entries(tar.NewReader(bufio.NewReaderSize(archive, 256<<10))); err != nil {
		return nil, err
	}
	if err := a.setTimes(); err != nil {
		return nil, err
	}
	for name := range a.implicit {
		a.result.Implicit = append(a.result.Implicit, name)
	}
	sort.Strings(a.result.Implicit)
	// Padding after the end of the archive counts for the diff id.
	if _, err := io.CopyBuffer(io.Discard, archive, a.buffer); err != nil {
		return nil, fmt.Errorf("reading the layer: %w", err)
	}
	return &a.result, nil
}

func newApplier(root *os.File) *applier {
	fd := int(root.Fd())
	return &applier{
		root:     fd,
		cache:    dirCache{root: fd},
		implicit: map[string]bool{"": true},
		devices:  map[string]bool{},
		buffer:   make([]byte, 256<<10),
	}
}

func (a *applier) entries(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // comments of git-archive(1) and the like
		}
		if a.result.Entries++; a.result.Entries > maxEntries {
			return fmt.Errorf("reading the layer: more than %d entries", maxEntries)
		}
		name, err := cleanName(h.Name)
		if err == nil {
			err = a.entry(a.place(name), h, archive)
		}
		if err != nil {
			return fmt.Errorf("unpacking %q: %w", shorten(h.Name), err)
		}
	}
}

// errOutside is an entry whose name leads out of the layer.
var errOutside = errors.New("its name leads out of the image")

// cleanName makes the name of an entry relative to the root, without "." and "..".
// An absolute name means the image's own root, as everywhere.
func cleanName(name string) (string, error) {
	if len(name) > maxName {
		return "", fmt.Errorf("name of %d bytes: %w", len(name), unix.ENAMETOOLONG)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("zero byte in its name")
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return "", errOutside
			}
		default:
			depth++
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

func shorten(name string) string {
	if len(name) > 200 {
		return name[:200] + "…"
	}
	return name
}

// entry unpacks one entry. The empty name is the root.
func (a *applier) entry(name string, h *tar.Header, content io.Reader) error {
	if a.stale {
		a.cache.flush()
		a.stale = false
	}
	if name == "" {
		if h.Typeflag != tar.TypeDir {
			return errors.New("the root of an image is a directory")
		}
		if a.options != nil {
			return nil // the directory that it is unpacked into stays as it is
		}
		delete(a.implicit, "")
		return a.rootAttributes(h)
	}
	folder, base := split(name)
	if a.options == nil && strings.HasPrefix(base, whiteoutPrefix) {
		return a.whiteout(folder, base)
	}
	parent, err := a.directory(folder)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	//lint:ignore SA1019 old archives have it
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		return a.file(parent, base, h, content)
	case tar.TypeDir:
		return a.folder(parent, name, base, h)
	case tar.TypeSymlink:
		return a.symlink(parent, base, h)
	case tar.TypeLink:
		return a.link(parent, base, h)
	case tar.TypeFifo:
		return a.fifo(parent, base, h)
	case tar.TypeChar, tar.TypeBlock:
		a.result.Devices++
		a.devices[name] = true
		return a.note(name)
	}
	return fmt.Errorf("unknown type %q of entry", h.Typeflag)
}

// note counts what is kept of an entry until the end, so that a small archive cannot
// take all memory.
func (a *applier) note(name string) error {
	if a.noted += len(name) + 128; a.noted > maxNoted {
		return errors.New("too many directories or devices")
	}
	return nil
}

// split parts a clean name into its directory, "" for the root, and its last component.
func split(name string) (folder, base string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// setTimes gives the directories their times, and those that their owner could not
// have written to their modes, now that nothing is written to them any more: what lies
// deepest first. One that went since, because a later entry replaced it, is passed over.
func (a *applier) setTimes() error {
	for i := len(a.times) - 1; i >= 0; i-- {
		d := a.times[i]
		flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW
		if d.mode != nil {
			flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW // fchmod(2) takes no O_PATH
		}
		fd, err := a.open("./"+d.path, flags)
		if err != nil {
			continue
		}
		err = unix.UtimesNanoAt(fd, "", timespecs(d.access, d.mtim), unix.AT_EMPTY_PATH)
		if err == nil && d.mode != nil {
			err = unix.Fchmod(fd, *d.mode)
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("unpacking %q: setting its times and mode: %w", shorten(d.path), err)
		}
	}
	return nil
}
