package unpack

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// overrideXattr is where containers/storage and fuse-overlayfs keep an owner that
// could not be set: "uid:gid:mode", the mode octal.
const overrideXattr = "user.containers.override_stat"

// own sets an entry's owner and returns the mode that it may have. An owner without
// an id in this user namespace, of which there may be only one, is written down in an
// attribute instead (fd >= 0), and the file is the image's root's: then it must not
// carry another one's set-id bits.
func (a *applier) own(h *tar.Header, mode uint32, fd int, chown func(uid, gid int) error) (uint32, error) {
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= math.MaxUint32 || int64(h.Gid) >= math.MaxUint32 {
		return 0, fmt.Errorf("owner %d:%d is none", h.Uid, h.Gid)
	}
	if a.options != nil {
		return a.give(h, mode, chown)
	}
	err := chown(h.Uid, h.Gid)
	if err == nil {
		return mode, nil
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("setting its owner: %w", err)
	}
	a.result.Squashed++
	if fd >= 0 {
		unix.Fsetxattr(fd, overrideXattr, fmt.Appendf(nil, "%d:%d:%o", h.Uid, h.Gid, mode), 0)
	}
	if h.Uid != 0 {
		mode &^= unix.S_ISUID
	}
	if h.Gid != 0 && h.Typeflag != tar.TypeDir {
		mode &^= unix.S_ISGID
	}
	return mode, nil
}

// xattrRecord precedes the names of extended attributes in PAX headers.
const xattrRecord = "SCHILY.xattr."

// attributes sets the extended attributes of an open file. They come after the
// owner, whose change clears security.capability.
func (a *applier) attributes(fd int, h *tar.Header) error {
	count := 0
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrRecord)
		if !ok {
			continue
		}
		if count++; count > maxAttributes || len(value) > maxAttribute {
			return errors.New("too many or too large extended attributes")
		}
		data, ok := attribute(name, value)
		if a.options != nil && a.options.Plain && name == "security.capability" {
			continue
		}
		if !ok || unix.Fsetxattr(fd, name, data, 0) != nil {
			a.result.Attributes++
		}
	}
	return nil
}

// attribute tells whether an image may set an attribute, and its value. What
// overlayfs and fuse-overlayfs read is theirs alone: it would redirect or hide
// files of other layers.
func attribute(name, value string) ([]byte, bool) {
	switch {
	case name == "security.capability":
		return capability([]byte(value))
	case strings.HasPrefix(name, "user.overlay."), strings.HasPrefix(name, "user.fuseoverlayfs."), strings.HasPrefix(name, "user.containers."):
		return nil, false
	case strings.HasPrefix(name, "user."), name == "system.posix_acl_access", name == "system.posix_acl_default":
		return []byte(value), true
	}
	return nil, false
}

// The head of security.capability (linux/capability.h, vfs_cap_data).
const (
	capRevisionMask = 0xff000000
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000
	capSize2        = 20
	capSize3        = 24
)

// capability brings file capabilities into the form that root of a user namespace
// may set: without a root id, for which the kernel puts in that of the namespace.
func capability(value []byte) ([]byte, bool) {
	if len(value) < 4 {
		return nil, false
	}
	head := binary.LittleEndian.Uint32(value)
	switch {
	case head&capRevisionMask == capRevision2 && len(value) == capSize2:
		return value, true
	case head&capRevisionMask == capRevision3 && len(value) == capSize3:
		data := append([]byte(nil), value[:capSize2]...)
		binary.LittleEndian.PutUint32(data, head&^capRevisionMask|capRevision2)
		return data, true
	}
	return nil, false
}

// setXattrAt sets an attribute of a directory.
func setXattrAt(parent int, base, name string, value []byte) error {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fsetxattr(fd, name, value, 0); err != nil {
		return fmt.Errorf("setting attribute %s: %w", strconv.Quote(name), err)
	}
	return nil
}

func timesOf(h *tar.Header) []unix.Timespec { return timespecs(h.AccessTime, h.ModTime) }

// timespecs are the access and modification times for utimensat(2).
func timespecs(access, modified time.Time) []unix.Timespec {
	if access.IsZero() {
		access = modified
	}
	return []unix.Timespec{timespec(access), timespec(modified)}
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() { // the archive gave none; year 1 is no time of a file
		t = time.Unix(0, 0)
	}
	ts := unix.NsecToTimespec(int64(t.Nanosecond()))
	ts.Sec = t.Unix()
	return ts
}
