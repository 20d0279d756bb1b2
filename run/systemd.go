package run

import (
	"fmt"
	"path"
	"slices"
	"strconv"

	"github.com/skiff-containers/skiff/store"
)

// systemdAlways is --systemd=always.
const systemdAlways = "always"

// inits are the programs that --systemd=true, the default, takes for systemd:
// podman's list, and its rule that any path ending in systemd is one.
var inits = []string{"/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"}

// systemd fits a container to systemd as its first process, where it is that
// (systemd.io/CONTAINER_INTERFACE): the signal that shuts it down, and who it is.
// What it can write comes with the mounts.
func (p *plan) systemd(asked string) error {
	c := &p.record.Config
	mode := "true"
	if asked != "" && asked != systemdAlways {
		on, err := strconv.ParseBool(asked)
		if err != nil {
			return fmt.Errorf(`invalid --systemd %q: it is "true", "false" or "always"`, asked)
		}
		if !on {
			return nil
		}
	} else if asked == systemdAlways {
		mode = systemdAlways
	}
	program := p.record.Path
	if mode != systemdAlways && path.Base(program) != "systemd" && !slices.Contains(inits, program) {
		return nil
	}
	c.SystemdMode = mode
	if c.StopSignal == "" {
		c.StopSignal = "SIGRTMIN+3"
	}
	c.Env = imageEnv(c.Env, []string{"container=skiff", "container_uuid=" + p.record.ID[:32]})
	return nil
}

// systemdFolders are those that systemd wants to write.
var systemdFolders = []string{"/run", "/run/lock", "/tmp", "/var/log/journal"}

// readOnlyFolders are those that can be written with --read-only-tmpfs.
var readOnlyFolders = []string{"/run", "/tmp", "/var/tmp"}

// impliedTmpfs are folders that get a tmpfs by other flags than --tmpfs, unless the
// user mounts something there.
func (p *plan) impliedTmpfs(o *CreateOptions, image *store.ImageConfig) error {
	if p.record.Config.SystemdMode != "" {
		p.tmpfs = append(p.tmpfs, systemdFolders...)
	}
	if o.ReadOnly && o.ReadOnlyTmpfs {
		p.tmpfs = append(p.tmpfs, readOnlyFolders...)
	}
	switch o.ImageVolume {
	case "", "ignore":
	case "tmpfs":
		for target := range image.Volumes {
			p.tmpfs = append(p.tmpfs, path.Clean("/"+target))
		}
	case "anonymous", "bind":
		return noVolumes("making volumes for the image's VOLUMEs")
	default:
		return fmt.Errorf(`invalid --image-volume %q: it is "ignore" or "tmpfs"`, o.ImageVolume)
	}
	slices.Sort(p.tmpfs)
	p.tmpfs = slices.Compact(p.tmpfs)
	return nil
}
