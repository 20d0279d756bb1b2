package oci

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// deviceConfig is a device node that the container gets. No user namespace may
// make device nodes, so it is mostly the host's node, bound.
type deviceConfig struct {
	Path   string // in the container
	Source string // on the host

	// Mode, where not 0, has the node made rather than bound: type and permissions.
	Mode     uint32
	Number   uint64
	UID, GID uint32
}

// defaultDevices exist in every container (runtime-spec, "Default Devices").
func defaultDevices() []deviceConfig {
	var all []deviceConfig
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		all = append(all, deviceConfig{Path: "/dev/" + name, Source: "/dev/" + name})
	}
	return all
}

// compileDevices finds the host's nodes for the devices of a spec.
func compileDevices(wanted []specs.LinuxDevice) ([]deviceConfig, error) {
	all := defaultDevices()
	for _, d := range wanted {
		if isDefault(all, d.Path) {
			continue
		}
		source, err := hostNode(d)
		if err != nil {
			return nil, err
		}
		all = append(all, deviceConfig{Path: d.Path, Source: source})
	}
	return all, nil
}

func isDefault(all []deviceConfig, name string) bool {
	for _, d := range all {
		if d.Path == name {
			return true
		}
	}
	return name == "/dev/console" || name == "/dev/ptmx"
}

// hostNode finds the node of a device: mostly at the path that it shall have in the
// container too, else under the name by which the kernel knows it.
func hostNode(d specs.LinuxDevice) (string, error) {
	kind, letter := uint32(unix.S_IFCHR), "char"
	switch d.Type {
	case "c", "u":
	case "b":
		kind, letter = unix.S_IFBLK, "block"
	default:
		return "", hinted("devices are of type c, u or b", "device %q: type %q is not supported", d.Path, d.Type)
	}
	number := unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	candidates := []string{d.Path}
	uevent, err := os.ReadFile(fmt.Sprintf("/sys/dev/%s/%d:%d/uevent", letter, d.Major, d.Minor))
	if err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(uevent)); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "DEVNAME="); ok {
				candidates = append(candidates, "/dev/"+name)
			}
		}
	}
	for _, candidate := range candidates {
		var st unix.Stat_t
		if unix.Stat(candidate, &st) == nil && st.Mode&unix.S_IFMT == kind && uint64(st.Rdev) == number {
			return candidate, nil
		}
	}
	return "", hinted("a user namespace cannot make device nodes, so the host must have one", "device %q (%s %d:%d) is not on this host", d.Path, d.Type, d.Major, d.Minor)
}

// devices fills the container's /dev.
func (m *mounter) devices(devices []deviceConfig) error {
	for _, d := range devices {
		if err := m.device(d); err != nil {
			return fmt.Errorf("making device %q: %w", d.Path, err)
		}
	}
	return m.deviceLinks()
}

// deviceLinks makes the usual links, where the image or a mount has nothing by that name.
func (m *mounter) deviceLinks() error {
	dir, err := m.root.ensure("/dev", false)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	for _, l := range []struct{ name, target string }{
		{"fd", "/proc/self/fd"},
		{"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"},
		{"ptmx", "pts/ptmx"},
		{"core", "/proc/kcore"},
	} {
		if err := unix.Symlinkat(l.target, dir, l.name); err != nil && err != unix.EEXIST {
			return fmt.Errorf("linking /dev/%s: %w", l.name, err)
		}
	}
	return nil
}

func (m *mounter) device(d deviceConfig) error {
	if d.Mode != 0 {
		return m.node(d)
	}
	tree, err := cloneTree(unix.AT_FDCWD, d.Source, false)
	if err != nil {
		return fmt.Errorf("opening the host's %q: %w", d.Source, err)
	}
	defer unix.Close(tree)
	return m.bindOnto(tree, d.Path, nodeAttributes)
}

// nodeAttributes keep a host's node as it is: where skiff runs as root, the
// container's root could change its mode and owner otherwise. A device can be
// written to on a read-only mount.
const nodeAttributes = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC

// bindOnto moves a file's mount to a path in the root.
func (m *mounter) bindOnto(tree int, name string, set uint64) error {
	target, err := m.root.ensure(name, true)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return attach(tree, target, change{attributes: attributes{Set: set}, propagation: unix.MS_PRIVATE})
}

// openNull opens the host's /dev/null and makes sure that it is that: what is bound
// over masked files must not be another file (CVE-2025-31133).
func openNull() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening /dev/null: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || uint64(st.Rdev) != unix.Mkdev(1, 3) {
		unix.Close(fd)
		return -1, hinted("run: sudo rm /dev/null && sudo mknod -m 666 /dev/null c 1 3", "the host's /dev/null is not the null device")
	}
	return fd, nil
}
