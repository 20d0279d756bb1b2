package run

import (
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// InspectMount is a mount as --mount asked for it: Docker's Mount object.
type InspectMount struct {
	Type         string
	Source       string `json:",omitempty"`
	Target       string
	ReadOnly     bool                 `json:",omitempty"`
	BindOptions  *InspectBindOptions  `json:",omitempty"`
	TmpfsOptions *InspectTmpfsOptions `json:",omitempty"`
}

// InspectBindOptions are what was asked of a folder of the host's.
type InspectBindOptions struct {
	Propagation      string `json:",omitempty"`
	NonRecursive     bool   `json:",omitempty"`
	CreateMountpoint bool   `json:",omitempty"`
}

// InspectTmpfsOptions are what was asked of a tmpfs.
type InspectTmpfsOptions struct {
	SizeBytes int64      `json:",omitempty"`
	Mode      uint32     `json:",omitempty"`
	Options   [][]string `json:",omitempty"` // a name, or a name and its value
}

// MountPoint is a mount as inspect shows it among all that a container has, however it
// was asked for.
type MountPoint struct {
	Type        string
	Source      string
	Destination string
	Mode        string // what -v had after the second colon
	RW          bool
	Propagation string
}

// inspectMounts are the mounts of --mount, those of -v being h.Binds.
func inspectMounts(h *store.HostConfig) (all []InspectMount) {
	for _, m := range h.Mounts[min(len(h.Binds), len(h.Mounts)):] {
		if m.Inherited {
			continue
		}
		i := InspectMount{Type: m.Type, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		if bind := (InspectBindOptions{NonRecursive: m.NonRecursive, CreateMountpoint: m.CreateSource}); m.Type == "bind" {
			if m.Propagation != "rprivate" { // which is what is meant where nothing is said
				bind.Propagation = m.Propagation
			}
			if bind != (InspectBindOptions{}) {
				i.BindOptions = &bind
			}
		}
		if m.TmpfsSize != 0 || m.TmpfsMode != 0 || len(m.Options) > 0 {
			i.TmpfsOptions = &InspectTmpfsOptions{SizeBytes: m.TmpfsSize, Mode: m.TmpfsMode}
			for _, option := range m.Options {
				i.TmpfsOptions.Options = append(i.TmpfsOptions.Options, strings.SplitN(option, "=", 2))
			}
		}
		all = append(all, i)
	}
	return all
}

// mountPoints are all mounts; those of h.Binds come first.
func mountPoints(h *store.HostConfig) []MountPoint {
	points := []MountPoint{}
	for i, m := range h.Mounts {
		point := MountPoint{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: m.Propagation}
		if i < len(h.Binds) {
			if parts := strings.SplitN(h.Binds[i], ":", 3); len(parts) == 3 {
				point.Mode = parts[2]
			}
		} else if m.Inherited && m.ReadOnly {
			point.Mode = "ro"
		}
		points = append(points, point)
	}
	return points
}
