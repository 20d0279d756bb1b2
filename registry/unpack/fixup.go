package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// FixUpStage is the argv[0] of the process that makes a fix-up layer. An archive may
// have tmp/x without tmp/. Its unpacked layer then has a directory tmp of mode 755,
// which in overlayfs would hide the 1777 of the layer below. The fix-up layer is
// stacked on top of such an image and holds nothing but these directories, with the
// attributes that they should have.
//
// It is root of the user's user namespace and has the store's folder of layers as its root.
//
//	stdin    FixUp
//	stdout   one Report: Implicit lists what had to be mended; nothing was made where it is empty
//	"layers" the folder of layers
//	"layer"  the empty directory to fill
//	"lock"   kept open, as in Stage
const FixUpStage = "skiff-fixup"

// FixUp is the image to be mended: its layers, lowest first.
type FixUp struct {
	Layers []FixUpLayer
}

// FixUpLayer is one of them.
type FixUpLayer struct {
	Name     string   // of its directory in the folder of layers
	Implicit []string // as in Result
}

// RunFixUp is the stage.
func RunFixUp() int {
	return report(runFixUp)
}

func runFixUp() (*Result, error) {
	layers, err := Enter("layers")
	if err != nil {
		return nil, err
	}
	target, err := userns.Passed("layer")
	if err != nil {
		return nil, err
	}
	var image FixUp
	if err := json.NewDecoder(os.Stdin).Decode(&image); err != nil {
		return nil, fmt.Errorf("reading what to mend: %w", err)
	}
	return Mend(layers, target, image)
}

// mender looks through the layers of one image.
type mender struct {
	fds      []int
	implicit []map[string]bool
}

// Mend makes the fix-up layer in target of an image whose layers lie in the folder
// layers. It returns which directories needed it.
func Mend(layers, target *os.File, image FixUp) (*Result, error) {
	m := &mender{}
	defer m.close()
	defer runtime.KeepAlive(target)
	var names []string
	for _, l := range image.Layers {
		fd, err := unix.Openat(int(layers.Fd()), l.Name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("opening layer %s: %w", l.Name, err)
		}
		implicit := map[string]bool{}
		for _, name := range l.Implicit {
			implicit[name] = true
		}
		m.fds, m.implicit = append(m.fds, fd), append(m.implicit, implicit)
		names = append(names, l.Implicit...)
	}
	slices.Sort(names)
	result := &Result{}
	for _, name := range slices.Compact(names) {
		if m.hidden(name) {
			result.Implicit = append(result.Implicit, name)
		}
	}
	if len(result.Implicit) == 0 {
		return result, nil
	}
	return result, m.build(int(target.Fd()), result.Implicit)
}

func (m *mender) close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
}

// hidden tells whether a directory has lost attributes: it was made up in the
// topmost layer that has it, and a lower one has it with others than those of a
// made-up directory.
func (m *mender) hidden(name string) bool {
	source, top, st := m.source(name)
	if source < 0 || source == top {
		return false
	}
	return st.Mode&0o7777 != 0o755 || st.Uid != 0 || st.Gid != 0 || m.hasAttributes(source, name)
}

// source finds the layer whose attributes a directory should have, the topmost
// that lists it, and the topmost layer that has it at all; -1 where there is none.
func (m *mender) source(name string) (source, top int, st unix.Stat_t) {
	top = -1
	for i := len(m.fds) - 1; i >= 0; i-- {
		found, last, have := m.look(i, name)
		if found {
			if top < 0 {
				top = i
			}
			if !m.implicit[i][name] {
				return i, top, have
			}
		}
		if last {
			break
		}
	}
	return -1, top, st
}

// look looks for a directory in one layer. last says that the layers below do not
// count, as this one hides the name or something above it.
func (m *mender) look(layer int, name string) (found, last bool, st unix.Stat_t) {
	for end := 0; end <= len(name); end++ {
		if end < len(name) && name[end] != '/' {
			continue
		}
		part := name[:end]
		fd, err := m.open(layer, part, unix.O_PATH|unix.O_NOFOLLOW)
		if err != nil {
			return false, !errors.Is(err, unix.ENOENT), st
		}
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return false, true, st
		}
		if part != name && m.opaque(layer, part) {
			last = true
		}
	}
	return true, last, st
}

func (m *mender) open(layer int, name string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(m.fds[layer], "./"+name, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

func (m *mender) opaque(layer int, name string) bool {
	fd, err := m.open(layer, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	n, err := unix.Fgetxattr(fd, opaqueXattr, nil)
	return err == nil && n > 0
}

func (m *mender) hasAttributes(layer int, name string) bool {
	fd, err := m.open(layer, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return len(listAttributes(fd)) > 0
}

// listAttributes are the names of the attributes that belong to a directory itself
// and not to overlayfs.
func listAttributes(fd int) []string {
	buffer := make([]byte, 64<<10)
	n, err := unix.Flistxattr(fd, buffer)
	if err != nil {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(string(buffer[:n]), "\x00") {
		if name == "" || strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "security.selinux") {
			continue
		}
		names = append(names, name)
	}
	return names
}

// build makes the directories, and those above them, which get the attributes
// that the image shows as well.
func (m *mender) build(target int, names []string) error {
	all := map[string]bool{"": true}
	for _, name := range names {
		for ; name != ""; name, _ = split(name) {
			all[name] = true
		}
	}
	sorted := make([]string, 0, len(all))
	for name := range all {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted) // parents come before what is in them
	for _, name := range sorted {
		if name == "" {
			continue
		}
		if err := unix.Mkdirat(target, name, 0o700); err != nil {
			return fmt.Errorf("mending %q: %w", name, err)
		}
	}
	slices.Reverse(sorted) // and get their times after it
	for _, name := range sorted {
		if err := m.dress(target, name); err != nil {
			return fmt.Errorf("mending %q: %w", name, err)
		}
	}
	return nil
}

// dress gives a directory of the fix-up layer its attributes.
func (m *mender) dress(target int, name string) error {
	source, top, _ := m.source(name)
	if source < 0 {
		source = top // no layer lists it: as it was made up
	}
	if source < 0 {
		return nil
	}
	from, err := m.open(source, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := unix.Openat(target, "./"+name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	value := make([]byte, maxAttribute)
	for _, attribute := range listAttributes(from) {
		n, err := unix.Fgetxattr(from, attribute, value)
		if err == nil {
			err = unix.Fsetxattr(to, attribute, value[:n], 0)
		}
		if err != nil {
			return fmt.Errorf("copying attribute %q: %w", attribute, err)
		}
	}
	return unix.UtimesNanoAt(to, "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH)
}
