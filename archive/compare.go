package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Kind is what became of a file, in the letters of `docker diff`.
type Kind string

const (
	Changed Kind = "C"
	Added   Kind = "A"
	Deleted Kind = "D"
)

// Change is one file of a tree that is not as it was.
type Change struct {
	Path string // absolute
	Kind Kind
}

// Comparison says what to compare: the folder into which a container has written, or an
// image's topmost layer, with the layers below.
type Comparison struct {
	Upper  string   // a folder
	Lowers []string // likewise, the topmost first
	// Whole says that Upper has everything that there is, as of the driver "copy", and
	// not the differences alone.
	Whole bool
}

// run compares. What the upper folder does not mention is not looked at, but for Whole:
// it takes as long as the container has written, however big the image is. A
// directory in which something has changed has changed, and of one that is gone only
// itself is told.
func (c *Comparison) run() ([]Change, error) {
	upper, err := os.OpenFile(c.Upper, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("comparing with the image: %w", err)
	}
	defer upper.Close()
	w := &comparer{upper: upper, whole: c.Whole}
	defer func() {
		for _, l := range w.lowers {
			l.Close()
		}
	}()
	for _, name := range c.Lowers {
		l, err := os.OpenFile(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, fmt.Errorf("comparing with the image: %w", err)
		}
		w.lowers = append(w.lowers, l)
	}
	all := make([]int, len(w.lowers))
	for i := range all {
		all[i] = i
	}
	if _, err := w.folder(".", all, c.Whole); err != nil {
		return nil, fmt.Errorf("comparing with the image: %w", err)
	}
	slices.SortFunc(w.changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return w.changes, nil
}

type comparer struct {
	upper   *os.File
	lowers  []*os.File
	whole   bool
	changes []Change
}

// below opens a directory of one of the folders. The container may be writing: no
// symbolic link is followed.
func below(root *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// old is what a name in the layers below stands for.
type old struct {
	st     unix.Stat_t
	lowers []int // of a directory, the layers whose content it shows
}

// folder compares a directory of the upper folder with the layers that show through it.
// hides says that it shows nothing of them, and what is there is gone therefore.
func (w *comparer) folder(name string, lowers []int, hides bool) (changed bool, err error) {
	dir, err := below(w.upper, name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return false, nil // the container has just removed it
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return false, err
	}
	before, err := w.open(name, lowers)
	if err != nil {
		return false, err
	}
	defer before.close()
	seen := map[string]bool{}
	var folders []func() error
	for _, base := range names {
		var st unix.Stat_t
		if strings.HasPrefix(base, whiteoutPrefix) { // of fuse-overlayfs, where it may not make better ones
			base, st.Mode = strings.TrimPrefix(base, whiteoutPrefix), unix.S_IFCHR
		} else if unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		seen[base] = true
		at := path.Join(name, base)
		was := before.look(base)
		if st.Mode&unix.S_IFMT != unix.S_IFDIR || was != nil && was.st.Mode&unix.S_IFMT != unix.S_IFDIR {
			changed = w.note(at, was, &st) || changed
			if st.Mode&unix.S_IFMT == unix.S_IFDIR {
				folders = append(folders, func() error { _, err := w.folder(at, nil, false); return err })
			}
			continue
		}
		folders = append(folders, func() error {
			inside, err := w.subfolder(at, was, &st)
			changed = changed || inside
			return err
		})
	}
	if hides {
		for _, base := range before.names() {
			if !seen[base] && before.look(base) != nil {
				w.changes = append(w.changes, Change{absolute(path.Join(name, base)), Deleted})
				changed = true
			}
		}
	}
	before.close()
	dir.Close() // a deep tree must not take all descriptors
	for _, compare := range folders {
		if err := compare(); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// subfolder compares a directory that was none of the layers' other things.
func (w *comparer) subfolder(name string, was *old, st *unix.Stat_t) (changed bool, err error) {
	if was == nil {
		at := len(w.changes)
		w.changes = append(w.changes, Change{absolute(name), Added})
		if _, err := w.folder(name, nil, false); err != nil {
			return false, err
		}
		if ownMounts()[absolute(name)] && len(w.changes) == at+1 {
			w.changes = w.changes[:at]
			return false, nil
		}
		return true, nil
	}
	hides := w.whole || w.opaque(name)
	inside, err := w.folder(name, was.lowers, hides)
	if err != nil {
		return false, err
	}
	if inside || !alike(&was.st, st) {
		w.changes = append(w.changes, Change{absolute(name), Changed})
		return true, nil
	}
	return false, nil
}

// note notes what became of something that is no directory, or was none.
func (w *comparer) note(name string, was *old, st *unix.Stat_t) (changed bool) {
	at := absolute(name)
	gone := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
	switch {
	case gone && was == nil:
		return false // hides what is in no layer
	case gone:
		w.changes = append(w.changes, Change{at, Deleted})
	case was == nil && st.Size == 0 && ownMounts()[at]:
		return false
	case was == nil:
		w.changes = append(w.changes, Change{at, Added})
	case alike(&was.st, st):
		return false // copied up and left as it was
	default:
		w.changes = append(w.changes, Change{at, Changed})
	}
	return true
}

// alike tells whether a file is as it was. What a directory was changed by is told of
// its content, not of its time.
func alike(a, b *unix.Stat_t) bool {
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return false
	}
	return a.Mode&unix.S_IFMT == unix.S_IFDIR || a.Size == b.Size && a.Mtim == b.Mtim
}

func absolute(name string) string { return path.Join("/", name) }

// ownMounts are what the runtime makes in every container to mount something on:
// nothing that the container has done. Empty ones are not told of.
func ownMounts() map[string]bool {
	return map[string]bool{
		"/dev": true, "/proc": true, "/sys": true, "/run": true, "/run/secrets": true, "/run/.containerenv": true,
		"/etc": true, "/etc/hostname": true, "/etc/hosts": true, "/etc/resolv.conf": true, "/etc/localtime": true, "/etc/mtab": true,
	}
}

// The marks of overlays: see package unpack.
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
)

// opaque tells whether a directory of the upper folder hides what lies below it.
func (w *comparer) opaque(name string) bool {
	dir, err := below(w.upper, name)
	if err != nil {
		return false
	}
	defer dir.Close()
	return isOpaque(int(dir.Fd()))
}

func isOpaque(fd int) bool {
	var value [1]byte
	for _, attribute := range []string{"user.overlay.opaque", "user.fuseoverlayfs.opaque"} {
		if n, err := unix.Fgetxattr(fd, attribute, value[:]); err == nil && n == 1 && value[0] == 'y' {
			return true
		}
	}
	return unix.Faccessat(fd, opaqueMarker, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// layered is a directory as several layers show it.
type layered struct {
	numbers []int
	folders []*os.File
}

// open opens a directory in the layers that have it, down to the first that hides those below.
func (w *comparer) open(name string, lowers []int) (*layered, error) {
	l := &layered{}
	for _, i := range lowers {
		dir, err := below(w.lowers[i], name)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			l.close()
			return nil, err
		}
		l.numbers, l.folders = append(l.numbers, i), append(l.folders, dir)
		if isOpaque(int(dir.Fd())) {
			break
		}
	}
	return l, nil
}

func (l *layered) close() {
	for _, f := range l.folders {
		f.Close()
	}
}

// look finds a name; nil is none.
func (l *layered) look(base string) *old {
	var found *old
	for i, f := range l.folders {
		var st unix.Stat_t
		if unix.Fstatat(int(f.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		folder := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if found == nil {
			if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
				return nil // hidden
			}
			found = &old{st: st}
		}
		if !folder {
			break
		}
		found.lowers = append(found.lowers, l.numbers[i])
	}
	return found
}

// names are all names in the layers, those that are hidden too.
func (l *layered) names() []string {
	var all []string
	for _, f := range l.folders {
		names, err := f.Readdirnames(-1)
		if err == nil {
			all = append(all, names...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
