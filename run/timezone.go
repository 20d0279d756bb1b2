package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skiff-containers/skiff/userns"
)

// fileLocaltime is the container's /etc/localtime, where a time zone was asked for.
const fileLocaltime = "localtime"

// zoneFolder is where the host keeps tzdata.
const zoneFolder = "/usr/share/zoneinfo"

// maxZone bounds a zone's file; the largest of tzdata has four kilobytes.
const maxZone = 1 << 20

// readZone reads the zone that --tz names: "local" is the host's, anything else a
// name of tzdata, such as Europe/Berlin.
func readZone(name string) ([]byte, error) {
	path := "/etc/localtime"
	if name != "local" {
		path = filepath.Join(zoneFolder, name)
		if !strings.HasPrefix(path, zoneFolder+"/") {
			return nil, fmt.Errorf("invalid time zone %q", name)
		}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &userns.HostError{What: fmt.Sprintf("finding time zone %q: the host has no file %s", name, path), Hint: "zones are named as in tzdata, such as Europe/Berlin; the host's package tzdata has them"}
	case err != nil:
		return nil, fmt.Errorf("finding time zone %q: %w", name, err)
	case !info.Mode().IsRegular() || info.Size() > maxZone:
		return nil, fmt.Errorf("finding time zone %q: %s is no zone's file", name, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading time zone %q: %w", name, err)
	}
	return data, nil
}
