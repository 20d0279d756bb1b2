package run

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// extras are podman's flags, and docker's of storage.
func (p *plan) extras(s *store.Store, o *CreateOptions, image *store.ImageConfig) (err error) {
	c, h := &p.record.Config, &p.record.HostConfig
	if c.Umask, err = checkUmask(o.Umask); err != nil {
		return err
	}
	if c.Timezone = o.Timezone; c.Timezone != "" {
		if p.zone, err = readZone(c.Timezone); err != nil {
			return err
		}
	}
	if err := p.systemd(o.Systemd); err != nil {
		return err
	}
	if err := p.impliedTmpfs(o, image); err != nil {
		return err
	}
	if err := p.withoutFiles(o); err != nil {
		return err
	}
	if o.VolumeDriver != "" && o.VolumeDriver != "local" {
		return &userns.HostError{What: fmt.Sprintf("volume driver %q is not supported: drivers are plugins of a daemon", o.VolumeDriver), Hint: "mount the file system on the host and name the folder: -v /path/on/host:/path/in/container"}
	}
	if len(o.StorageOpts) > 0 {
		return &userns.HostError{What: fmt.Sprintf("storage option %q is not supported: quotas of a file system are root's to set", o.StorageOpts[0]), Hint: "a tmpfs has a bound of its own: --tmpfs /path:size=100m"}
	}
	if err := p.secrets(s, o.Secrets); err != nil {
		return err
	}
	h.Requires, err = requirements(s, o.Requires)
	return err
}

// withoutFiles notes which of skiff's own files the image's stay in place of.
func (p *plan) withoutFiles(o *CreateOptions) error {
	if o.NoHosts && len(o.Network.Hosts) > 0 {
		return errors.New("conflicting options: --no-hosts and --add-host")
	}
	if o.NoHosts {
		p.bare = append(p.bare, fileHosts)
	}
	if o.NoHostname {
		p.bare = append(p.bare, fileHostname)
	}
	if p.zone == nil {
		p.bare = append(p.bare, fileLocaltime)
	}
	return nil
}

// leaves tells whether the image's file stays.
func (p *plan) leaves(file string) bool { return slices.Contains(p.bare, file) }
