package oci

import (
	"fmt"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultNodes are the default devices with their numbers (runtime-spec, "Default Devices").
func defaultNodes() []deviceConfig {
	const mode = unix.S_IFCHR | 0o666
	return []deviceConfig{
		{Path: "/dev/null", Mode: mode, Number: unix.Mkdev(1, 3)},
		{Path: "/dev/zero", Mode: mode, Number: unix.Mkdev(1, 5)},
		{Path: "/dev/full", Mode: mode, Number: unix.Mkdev(1, 7)},
		{Path: "/dev/random", Mode: mode, Number: unix.Mkdev(1, 8)},
		{Path: "/dev/urandom", Mode: mode, Number: unix.Mkdev(1, 9)},
		{Path: "/dev/tty", Mode: mode, Number: unix.Mkdev(5, 0)},
	}
}

// compileNodes reads the devices of a spec where the host's root starts a container
// outside any user namespace: then nodes are made with the owner and mode asked for.
func compileNodes(wanted []specs.LinuxDevice) ([]deviceConfig, error) {
	all := defaultNodes()
	for _, d := range wanted {
		n := deviceConfig{Path: d.Path, Mode: 0o666, Number: unix.Mkdev(uint32(d.Major), uint32(d.Minor))}
		if d.FileMode != nil {
			n.Mode = uint32(*d.FileMode) & 0o7777
		}
		switch d.Type {
		case "c", "u":
			n.Mode |= unix.S_IFCHR
		case "b":
			n.Mode |= unix.S_IFBLK
		case "p":
			n.Mode, n.Number = n.Mode|unix.S_IFIFO, 0
		default:
			return nil, hinted("devices are of type c, u, b or p", "device %q: type %q is not supported", d.Path, d.Type)
		}
		if d.UID != nil {
			n.UID = *d.UID
		}
		if d.GID != nil {
			n.GID = *d.GID
		}
		all = replaceNode(all, n)
	}
	return all, nil
}

// replaceNode adds a device, in the place of one at the same path.
func replaceNode(all []deviceConfig, n deviceConfig) []deviceConfig {
	for i := range all {
		if path.Clean(all[i].Path) == path.Clean(n.Path) {
			all[i] = n
			return all
		}
	}
	if name := path.Clean(n.Path); name == "/dev/console" || name == "/dev/ptmx" {
		return all
	}
	return append(all, n)
}

// node makes a device node. The umask is 0.
func (m *mounter) node(d deviceConfig) error {
	dir, err := m.root.ensure(path.Dir(d.Path), false)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := path.Base(d.Path)
	err = unix.Mknodat(dir, name, d.Mode, int(d.Number))
	if err != nil && err != unix.EEXIST {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != d.Mode&unix.S_IFMT || d.Number != 0 && uint64(st.Rdev) != d.Number {
		return fmt.Errorf("something else is there: %w", unix.EEXIST)
	}
	if err := unix.Fchownat(fd, "", int(d.UID), int(d.GID), unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	if st.Mode&0o7777 != d.Mode&0o7777 {
		return unix.Fchmodat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), d.Mode&0o7777, 0)
	}
	return nil
}
