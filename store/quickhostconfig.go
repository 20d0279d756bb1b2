package store

import "github.com/skiff-containers/skiff/oci/pull"

func pullHostConfig(t *pull.Text, h *HostConfig) {
	t.Object(func(name string) {
		switch name {
		case "PortBindings":
			h.PortBindings = pullPorts(t)
		case "Mounts":
			h.Mounts = pullList(t, func() Mount { return pullMount(t) })
		case "Tmpfs":
			h.Tmpfs = pullMap(t)
		case "LogConfig":
			h.LogConfig = pullLogConfig(t)
		case "RestartPolicy":
			h.RestartPolicy = pullRestartPolicy(t)
		case "OomScoreAdj":
			h.OomScoreAdj = int(t.Int())
		case "BlkioWeight":
			h.BlkioWeight = uint16(t.Uint(16))
		case "Ulimits", "Devices": // seldom there, and never left out
			if !t.Null() {
				t.Refuse()
			}
		default:
			if list := h.list(name); list != nil {
				*list = pullStrings(t)
			} else if flag := h.flag(name); flag != nil {
				*flag = t.Bool()
			} else if n := h.number(name); n != nil {
				*n = t.Int()
			} else {
				pullText(t, h.text(name))
			}
		}
	})
}

// list is the field of a name that is a list of strings; nil where there is none.
func (h *HostConfig) list(name string) *[]string {
	switch name {
	case "Binds":
		return &h.Binds
	case "VolumesFrom":
		return &h.VolumesFrom
	case "CapAdd":
		return &h.CapAdd
	case "CapDrop":
		return &h.CapDrop
	case "SecurityOpt":
		return &h.SecurityOpt
	case "GroupAdd":
		return &h.GroupAdd
	case "Dns":
		return &h.DNS
	case "DnsOptions":
		return &h.DNSOptions
	case "DnsSearch":
		return &h.DNSSearch
	case "ExtraHosts":
		return &h.ExtraHosts
	}
	return nil
}

// flag is the field of a name that is true or false; nil where there is none.
func (h *HostConfig) flag(name string) *bool {
	switch name {
	case "AutoRemove":
		return &h.AutoRemove
	case "PublishAllPorts":
		return &h.PublishAllPorts
	case "Privileged":
		return &h.Privileged
	case "ReadonlyRootfs":
		return &h.ReadonlyRootfs
	case "Init":
		return &h.Init
	}
	return nil
}

// number is the field of a name that is a whole number; nil where there is none.
func (h *HostConfig) number(name string) *int64 {
	switch name {
	case "ShmSize":
		return &h.ShmSize
	case "Memory":
		return &h.Memory
	case "MemoryReservation":
		return &h.MemoryReservation
	case "MemorySwap":
		return &h.MemorySwap
	case "NanoCpus":
		return &h.NanoCpus
	case "CpuShares":
		return &h.CpuShares
	case "CpuPeriod":
		return &h.CpuPeriod
	case "CpuQuota":
		return &h.CpuQuota
	case "CpuRealtimePeriod":
		return &h.CpuRealtimePeriod
	case "CpuRealtimeRuntime":
		return &h.CpuRealtimeRuntime
	}
	return nil
}

// text is the field of a name that is a string; nil where there is none.
func (h *HostConfig) text(name string) *string {
	switch name {
	case "NetworkMode":
		return &h.NetworkMode
	case "PidMode":
		return &h.PidMode
	case "ContainerIDFile":
		return &h.ContainerIDFile
	case "IpcMode":
		return &h.IpcMode
	case "UTSMode":
		return &h.UTSMode
	case "UsernsMode":
		return &h.UsernsMode
	case "CgroupnsMode":
		return &h.CgroupnsMode
	case "Runtime":
		return &h.Runtime
	case "CpusetCpus":
		return &h.CpusetCpus
	case "CpusetMems":
		return &h.CpusetMems
	}
	return nil
}

func pullPorts(t *pull.Text) map[string][]PortBinding {
	if t.Null() {
		return nil
	}
	ports := map[string][]PortBinding{}
	t.Object(func(port string) {
		ports[port] = pullList(t, func() (b PortBinding) {
			t.Object(func(name string) {
				switch name {
				case "HostIp":
					b.HostIp = t.String()
				case "HostPort":
					b.HostPort = t.String()
				default:
					t.Refuse()
				}
			})
			return b
		})
	})
	return ports
}

func pullMount(t *pull.Text) (m Mount) {
	t.Object(func(name string) {
		switch name {
		case "Type":
			m.Type = t.String()
		case "Source":
			m.Source = t.String()
		case "Target":
			m.Target = t.String()
		case "ReadOnly":
			m.ReadOnly = t.Bool()
		case "CreateSource":
			m.CreateSource = t.Bool()
		default:
			t.Refuse()
		}
	})
	return m
}

func pullLogConfig(t *pull.Text) (l LogConfig) {
	t.Object(func(name string) {
		switch name {
		case "Type":
			l.Type = t.String()
		case "Config":
			l.Config = pullMap(t)
		default:
			t.Refuse()
		}
	})
	return l
}

func pullRestartPolicy(t *pull.Text) (p RestartPolicy) {
	t.Object(func(name string) {
		switch name {
		case "Name":
			p.Name = t.String()
		case "MaximumRetryCount":
			p.MaximumRetryCount = int(t.Int())
		default:
			t.Refuse()
		}
	})
	return p
}
