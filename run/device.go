package run

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// parseDevices reads --device HOST[:CONTAINER][:PERMISSIONS]. A folder stands for
// the devices in it, as in Docker.
func parseDevices(specs []string) ([]store.Device, error) {
	var all []store.Device
	for _, spec := range specs {
		d, err := parseDevice(spec)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(d.PathOnHost)
		if err != nil {
			return nil, fmt.Errorf("adding device %q: %w", spec, err)
		}
		switch {
		case info.Mode()&os.ModeDevice != 0:
			all = append(all, d)
		case info.IsDir():
			inside, err := devicesBelow(d)
			if err != nil {
				return nil, fmt.Errorf("adding device %q: %w", spec, err)
			}
			all = append(all, inside...)
		default:
			return nil, fmt.Errorf("adding device %q: not a device node", spec)
		}
	}
	return all, nil
}

func parseDevice(spec string) (store.Device, error) {
	parts := strings.Split(spec, ":")
	d := store.Device{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
	switch {
	case len(parts) == 2 && isPermissions(parts[1]):
		d.CgroupPermissions = parts[1]
	case len(parts) == 2:
		d.PathInContainer = parts[1]
	case len(parts) == 3 && isPermissions(parts[2]):
		d.PathInContainer, d.CgroupPermissions = parts[1], parts[2]
	case len(parts) > 1:
		return d, fmt.Errorf("parsing device %q: not HOST[:CONTAINER][:PERMISSIONS]", spec)
	}
	if !filepath.IsAbs(d.PathOnHost) || !path.IsAbs(d.PathInContainer) {
		return d, fmt.Errorf("parsing device %q: paths must be absolute", spec)
	}
	if !strings.Contains(d.CgroupPermissions, "r") || !strings.Contains(d.CgroupPermissions, "w") {
		return d, &userns.HostError{
			What: fmt.Sprintf("device %q: permissions %q cannot be enforced without root", spec, d.CgroupPermissions),
			Hint: "leave them out: the permissions of the device's file count",
		}
	}
	return d, nil
}

// isPermissions tells whether text is made of r, w and m, each at most once.
func isPermissions(text string) bool {
	for i, c := range text {
		if !strings.ContainsRune("rwm", c) || strings.ContainsRune(text[:i], c) {
			return false
		}
	}
	return text != ""
}

func devicesBelow(d store.Device) ([]store.Device, error) {
	var all []store.Device
	err := filepath.WalkDir(d.PathOnHost, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&os.ModeDevice == 0 {
			return err
		}
		inside := path.Join(d.PathInContainer, strings.TrimPrefix(name, d.PathOnHost))
		all = append(all, store.Device{PathOnHost: name, PathInContainer: inside, CgroupPermissions: d.CgroupPermissions})
		return nil
	})
	return all, err
}

// ownDevices are those that every container has anyway.
var ownDevices = map[string]bool{"null": true, "zero": true, "full": true, "random": true, "urandom": true, "tty": true, "ptmx": true, "console": true}

// accessibleDevices are the host's devices that the caller may open, for --privileged.
func accessibleDevices() ([]store.Device, error) {
	var all []store.Device
	err := filepath.WalkDir("/dev", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && e != nil && e.IsDir():
			return fs.SkipDir // not ours to read
		case err != nil:
			return err
		case e.IsDir() && (name == "/dev/pts" || name == "/dev/shm" || name == "/dev/mqueue"):
			return fs.SkipDir
		case e.Type()&os.ModeDevice == 0 || ownDevices[strings.TrimPrefix(name, "/dev/")]:
			return nil
		case unix.Access(name, unix.R_OK) != nil && unix.Access(name, unix.W_OK) != nil:
			return nil
		}
		all = append(all, store.Device{PathOnHost: name, PathInContainer: name, CgroupPermissions: "rwm"})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the host's devices: %w", err)
	}
	return all, nil
}
