package oci

import (
	"strings"

	"golang.org/x/sys/unix"
)

// attributes are the changes that mount_setattr(2) makes to a mount.
type attributes struct{ Set, Clear uint64 }

func (a *attributes) set(bits uint64) {
	if bits&unix.MOUNT_ATTR__ATIME != 0 || bits == 0 {
		// The access-time modes are values of one field, not bits: the field is cleared whole.
		a.Clear |= unix.MOUNT_ATTR__ATIME
		a.Set &^= unix.MOUNT_ATTR__ATIME
	}
	a.Set |= bits
	if bits&unix.MOUNT_ATTR__ATIME == 0 {
		a.Clear &^= bits
	}
}

func (a *attributes) clear(bits uint64) {
	a.Set &^= bits
	a.Clear |= bits
}

// attributeOptions are mount(8)'s words for a mount's attributes. An "r" before a
// word makes it hold for all mounts beneath (runtime-spec, "Linux mount options").
var attributeOptions = map[string]struct {
	bits  uint64
	clear bool
}{
	"ro":            {unix.MOUNT_ATTR_RDONLY, false},
	"rw":            {unix.MOUNT_ATTR_RDONLY, true},
	"nosuid":        {unix.MOUNT_ATTR_NOSUID, false},
	"suid":          {unix.MOUNT_ATTR_NOSUID, true},
	"nodev":         {unix.MOUNT_ATTR_NODEV, false},
	"dev":           {unix.MOUNT_ATTR_NODEV, true},
	"noexec":        {unix.MOUNT_ATTR_NOEXEC, false},
	"exec":          {unix.MOUNT_ATTR_NOEXEC, true},
	"nodiratime":    {unix.MOUNT_ATTR_NODIRATIME, false},
	"diratime":      {unix.MOUNT_ATTR_NODIRATIME, true},
	"nosymfollow":   {unix.MOUNT_ATTR_NOSYMFOLLOW, false},
	"symfollow":     {unix.MOUNT_ATTR_NOSYMFOLLOW, true},
	"relatime":      {unix.MOUNT_ATTR_RELATIME, false},
	"noatime":       {unix.MOUNT_ATTR_NOATIME, false},
	"strictatime":   {unix.MOUNT_ATTR_STRICTATIME, false},
	"norelatime":    {unix.MOUNT_ATTR_STRICTATIME, false},
	"atime":         {unix.MOUNT_ATTR_RELATIME, false},
	"nostrictatime": {unix.MOUNT_ATTR_RELATIME, false},
}

// propagationOptions are mount_namespaces(7)'s, with "r" for all mounts beneath.
var propagationOptions = map[string]uint64{
	"private":    unix.MS_PRIVATE,
	"shared":     unix.MS_SHARED,
	"slave":      unix.MS_SLAVE,
	"unbindable": unix.MS_UNBINDABLE,
}

// ignoredOptions change nothing for the kernel: they are the defaults, or mount(8)'s
// own, or what SELinux hosts alone understand.
const ignoredOptions = " defaults async nomand norandom mand bind-nonrecursive z Z "

// parseOptions splits a mount's options into attributes, propagation and what the
// file system itself is told.
func parseOptions(m *mountConfig, options []string) error {
	for _, option := range options {
		plain := strings.TrimPrefix(option, "r")
		if a, ok := attributeOptions[option]; ok { // first: "ro" and "relatime" begin with r as well
			m.Attributes.apply(a.bits, a.clear)
			continue
		}
		if a, ok := attributeOptions[plain]; ok {
			m.Beneath.apply(a.bits, a.clear)
			continue
		}
		if p, ok := propagationOptions[plain]; ok {
			m.Propagation, m.PropagateBeneath = p, plain != option
			continue
		}
		switch {
		case option == "bind" || option == "rbind":
			m.Bind, m.Recursive = true, option == "rbind"
		case option == "tmpcopyup" && m.Type == "tmpfs":
			m.CopyUp = true
		case option == "idmap":
			m.IDMap = mapped
		case option == "ridmap":
			m.IDMap = mappedDeeply
		case option == "tmpcopyup":
			return hinted("leave the option out", "mounting at %q: option %q is not supported", m.Destination, option)
		case option == "" || strings.Contains(ignoredOptions, " "+option+" "):
		default:
			m.Data = append(m.Data, option)
		}
	}
	return nil
}

func (a *attributes) apply(bits uint64, clear bool) {
	if clear {
		a.clear(bits)
	} else {
		a.set(bits)
	}
}
