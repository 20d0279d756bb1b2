package oci

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Kernels before 5.12 have no mount_setattr(2) (ENOSYS). There a mount is changed
// by mount(2) after it was attached. mount(2) sets all flags at once and refuses
// with EPERM to lose one that the host's mount has, so those are added.

var attributeFlags = []struct{ attribute, flag uint64 }{
	{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY},
	{unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
	{unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
	{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
	{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME},
	{unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME},
	{unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
}

// settle makes a change to an attached mount, by whatever the kernel has.
func (c change) settle(mount int) error {
	if err := c.apply(mount); err != unix.ENOSYS {
		return err
	}
	return remount(mount, []change{c})
}

// remount makes changes to the attached mount behind a descriptor, by its name
// under /proc/self/fd, which leads to it and nowhere else.
func remount(mount int, changes []change) error {
	for _, c := range changes {
		places := []string{fmt.Sprintf("/proc/self/fd/%d", mount)}
		if c.recursive {
			beneath, err := mountsBeneath(places[0])
			if err != nil {
				return err
			}
			places = append(places, beneath...)
		}
		for _, place := range places {
			if err := c.remountOne(place); err != nil {
				return fmt.Errorf("changing a mount by its path: %w", err)
			}
		}
	}
	return nil
}

func (c change) remountOne(place string) error {
	if c.propagation != 0 {
		if err := unix.Mount("", place, "", uintptr(c.propagation), ""); err != nil {
			return err
		}
	}
	if c.Set == 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(place, &st); err != nil {
		return err
	}
	flags := uint64(unix.MS_REMOUNT | unix.MS_BIND)
	// The flags that statfs tells are the MS_ ones but for relatime (statfs(2)).
	flags |= uint64(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if st.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	for _, a := range attributeFlags {
		if c.Set&a.attribute != 0 {
			flags |= a.flag
		}
	}
	return unix.Mount("", place, "", uintptr(flags), "")
}

// mountsBeneath returns the mount points beneath a path, as mountinfo tells them (proc(5)).
func mountsBeneath(place string) ([]string, error) {
	prefix, err := os.Readlink(place)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) > 4 {
			if point := unescape(fields[4]); strings.HasPrefix(point, prefix+"/") {
				found = append(found, point)
			}
		}
	}
	return found, nil
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
