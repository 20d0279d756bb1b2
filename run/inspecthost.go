package run

import "github.com/skiff-containers/skiff/store"

// InspectHostConfig is a container's HostConfig as inspect prints it: with each
// field that Docker has there whether set or not, so that templates and programs
// made for Docker find them. Fields of the record that are left out when empty are
// declared once more, as they are not here.
type InspectHostConfig struct {
	store.HostConfig
	MemorySwappiness     *int64
	OomKillDisable       *bool
	PidsLimit            *int64
	BlkioWeightDevice    []store.WeightDevice
	BlkioDeviceReadBps   []store.ThrottleDevice
	BlkioDeviceWriteBps  []store.ThrottleDevice
	BlkioDeviceReadIOps  []store.ThrottleDevice
	BlkioDeviceWriteIOps []store.ThrottleDevice
	CgroupParent         string
	Links                []string
	DeviceRequests       []store.DeviceRequest
	Mounts               []InspectMount    `json:",omitempty"` // those of --mount alone
	Tmpfs                map[string]string `json:",omitempty"`
	Init                 *bool             `json:",omitempty"`

	// What skiff has no use for is as Docker prints it of a container that has none.
	Cgroup             string
	ConsoleSize        [2]uint
	DeviceCgroupRules  []string
	Isolation          string
	VolumeDriver       string
	CpuCount           int64
	CpuPercent         int64
	IOMaximumIOps      uint64
	IOMaximumBandwidth uint64
	MaskedPaths        []string
	ReadonlyPaths      []string
}

// inspectHostConfig takes over what was asked. Lists that Docker prints as empty are
// empty and not null.
func inspectHostConfig(h store.HostConfig) InspectHostConfig {
	h.DNS, h.DNSOptions, h.DNSSearch = list(h.DNS), list(h.DNSOptions), list(h.DNSSearch)
	h.Devices, h.Ulimits = list(h.Devices), list(h.Ulimits)
	i := InspectHostConfig{
		HostConfig: h, MemorySwappiness: h.MemorySwappiness, OomKillDisable: h.OomKillDisable, PidsLimit: h.PidsLimit,
		BlkioWeightDevice: list(h.BlkioWeightDevice), BlkioDeviceReadBps: list(h.BlkioDeviceReadBps), BlkioDeviceWriteBps: list(h.BlkioDeviceWriteBps),
		BlkioDeviceReadIOps: list(h.BlkioDeviceReadIOps), BlkioDeviceWriteIOps: list(h.BlkioDeviceWriteIOps),
		CgroupParent: h.CgroupParent, Links: h.Links, DeviceRequests: h.DeviceRequests, Tmpfs: h.Tmpfs,
	}
	if i.Mounts = inspectMounts(&h); h.Init {
		i.Init = &h.Init
	}
	i.PidFile = "" // which podman has elsewhere
	if h.UsernsImplied {
		i.UsernsMode, i.UsernsImplied = "", false
	}
	if s, _, err := parseSecurity(h.SecurityOpt); err == nil { // not where a profile's file is gone since
		i.MaskedPaths, i.ReadonlyPaths = s.hidden(h.Privileged)
	}
	return i
}

// InspectConfig is a container's Config as inspect prints it: with the fields that
// Docker has there whether set or not.
type InspectConfig struct {
	store.Config
	Domainname string
	OnBuild    []string // skiff has no use for it
}

func inspectConfig(c *store.Config) InspectConfig {
	return InspectConfig{Config: *c, Domainname: c.Domainname}
}

// list is a list that JSON prints as [] where it is empty.
func list[E any](l []E) []E {
	if l == nil {
		return []E{}
	}
	return l
}
