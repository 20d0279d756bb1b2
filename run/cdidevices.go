package run

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/run/cdi"
	"github.com/skiff-containers/skiff/store"
)

// vendorDevices reads --gpus and what --device names by CDI, and finds out what is to be
// done for them. The other devices come back.
func (p *plan) vendorDevices(o *CreateOptions) (paths []string, err error) {
	h := &p.record.HostConfig
	var named []string
	for _, d := range o.Devices {
		if cdi.IsName(d) {
			named = append(named, d)
		} else {
			paths = append(paths, d)
		}
	}
	if h.DeviceRequests, err = parseGPUs(o.GPUs); err != nil {
		return nil, err
	}
	if len(named) > 0 {
		h.DeviceRequests = append(h.DeviceRequests, store.DeviceRequest{Driver: "cdi", DeviceIDs: named})
	}
	if len(h.DeviceRequests) == 0 {
		return paths, nil
	}
	var names []string
	for i := range h.DeviceRequests {
		names = append(names, cdiNames(&h.DeviceRequests[i])...)
	}
	folders := o.CDISpecDirs
	if len(folders) == 0 {
		folders = cdi.DefaultFolders[:]
	}
	if p.edits, err = cdi.Find(folders, names); err != nil {
		return nil, err
	}
	for _, gid := range p.edits.GIDs {
		if !h.GroupsKept { // kept groups cannot be added to
			h.GroupAdd = append(h.GroupAdd, strconv.FormatUint(uint64(gid), 10))
		}
	}
	return paths, nil
}

// edit carries out what CDI files ask for in the OCI config.
func (p *plan) edit(s *specs.Spec) {
	e := p.edits
	if e == nil {
		return
	}
	s.Process.Env = joinEnv(s.Process.Env, e.Env)
	for _, n := range e.Nodes {
		host := n.HostPath
		if host == "" {
			host = n.Path
		}
		s.Mounts = append(s.Mounts, deviceMounts([]store.Device{{PathOnHost: host, PathInContainer: n.Path}}, func(string) bool { return false })...)
	}
	for _, m := range e.Mounts {
		s.Mounts = append(s.Mounts, vendorMount(m))
	}
	for _, h := range e.Hooks {
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		hook := specs.Hook{Path: h.Path, Args: h.Args, Env: h.Env, Timeout: h.Timeout}
		switch h.Name {
		case "createRuntime", "prestart": // the one took the other's place, at the same moment
			s.Hooks.CreateRuntime = append(s.Hooks.CreateRuntime, hook)
		case "createContainer":
			s.Hooks.CreateContainer = append(s.Hooks.CreateContainer, hook)
		case "startContainer":
			s.Hooks.StartContainer = append(s.Hooks.StartContainer, hook)
		}
	}
}

// vendorMount is a mount of a CDI file's; without a type it is a bind mount.
func vendorMount(m cdi.Mount) specs.Mount {
	options := m.Options
	if m.Type == "" || m.Type == "bind" {
		m.Type = "bind"
		if !slices.ContainsFunc(options, func(o string) bool { return strings.TrimPrefix(o, "r") == "bind" }) {
			options = append(slices.Clone(options), "rbind")
		}
	}
	return specs.Mount{Destination: m.ContainerPath, Source: m.HostPath, Type: m.Type, Options: options}
}
