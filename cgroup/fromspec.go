package cgroup

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Resources are limits as the library takes them.
type Resources = cgroups.Resources

// FromSpec translates the resources of an OCI config (runtime-spec, config-linux.md)
// into what the library takes, all that either version of cgroups knows; [CheckV2]
// tells what version 2 has no file for. Kernel memory, which the spec lets a runtime
// ignore and the library has no word for, is left out. Nil gives empty resources.
func FromSpec(r *specs.LinuxResources) (*cgroups.Resources, error) {
	out := &cgroups.Resources{}
	if r == nil {
		return out, nil
	}
	for _, part := range []func(*specs.LinuxResources, *cgroups.Resources) error{
		memoryFromSpec, cpuFromSpec, blockIOFromSpec, devicesFromSpec, networkFromSpec,
	} {
		if err := part(r, out); err != nil {
			return nil, err
		}
	}
	if r.Pids != nil {
		out.PidsLimit = r.Pids.Limit
	}
	for _, h := range r.HugepageLimits {
		out.HugetlbLimit = append(out.HugetlbLimit, &cgroups.HugepageLimit{Pagesize: h.Pagesize, Limit: h.Limit})
	}
	for device, limit := range r.Rdma {
		if out.Rdma == nil {
			out.Rdma = map[string]cgroups.LinuxRdma{}
		}
		out.Rdma[device] = cgroups.LinuxRdma{HcaHandles: limit.HcaHandles, HcaObjects: limit.HcaObjects}
	}
	out.Unified = r.Unified
	return out, nil
}

// CheckV2 refuses by name what cgroup v2 cannot limit.
func CheckV2(r *cgroups.Resources) error {
	switch {
	case r.MemorySwappiness != nil:
		return onlyV1("memory swappiness")
	case r.OomKillDisable:
		return fmt.Errorf("the OOM killer cannot be switched off with cgroup v2")
	case r.CpuRtRuntime > 0, r.CpuRtPeriod > 0:
		return onlyV1("real-time scheduling")
	case r.BlkioLeafWeight > 0, slices.ContainsFunc(r.BlkioWeightDevice, func(d *cgroups.WeightDevice) bool { return d.LeafWeight > 0 }):
		return onlyV1("the leaf weight of block devices")
	case r.NetClsClassid > 0, len(r.NetPrioIfpriomap) > 0:
		return onlyV1("the class or priority of network traffic")
	}
	return nil
}

func onlyV1(what string) error { return fmt.Errorf("%s cannot be set with cgroup v2", what) }

func memoryFromSpec(r *specs.LinuxResources, out *cgroups.Resources) error {
	m := r.Memory
	if m == nil {
		return nil
	}
	out.Memory, out.MemoryReservation, out.MemorySwap = value(m.Limit), value(m.Reservation), value(m.Swap)
	out.MemorySwappiness, out.OomKillDisable = m.Swappiness, value(m.DisableOOMKiller)
	out.MemoryCheckBeforeUpdate = value(m.CheckBeforeUpdate)
	return nil
}

func cpuFromSpec(r *specs.LinuxResources, out *cgroups.Resources) error {
	c := r.CPU
	if c == nil {
		return nil
	}
	if c.Shares != nil {
		out.CpuShares = *c.Shares
		out.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
	}
	out.CpuPeriod, out.CpuQuota, out.CpuBurst, out.CPUIdle = value(c.Period), value(c.Quota), c.Burst, c.Idle
	out.CpuRtRuntime, out.CpuRtPeriod = value(c.RealtimeRuntime), value(c.RealtimePeriod)
	out.CpusetCpus, out.CpusetMems = c.Cpus, c.Mems
	return nil
}

func blockIOFromSpec(r *specs.LinuxResources, out *cgroups.Resources) error {
	b := r.BlockIO
	if b == nil {
		return nil
	}
	out.BlkioWeight, out.BlkioLeafWeight = value(b.Weight), value(b.LeafWeight)
	for _, d := range b.WeightDevice {
		out.BlkioWeightDevice = append(out.BlkioWeightDevice, cgroups.NewWeightDevice(d.Major, d.Minor, value(d.Weight), value(d.LeafWeight)))
	}
	out.BlkioThrottleReadBpsDevice = throttles(b.ThrottleReadBpsDevice)
	out.BlkioThrottleWriteBpsDevice = throttles(b.ThrottleWriteBpsDevice)
	out.BlkioThrottleReadIOPSDevice = throttles(b.ThrottleReadIOPSDevice)
	out.BlkioThrottleWriteIOPSDevice = throttles(b.ThrottleWriteIOPSDevice)
	return nil
}

func throttles(in []specs.LinuxThrottleDevice) (out []*cgroups.ThrottleDevice) {
	for _, d := range in {
		out = append(out, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
	}
	return out
}

// deviceTypes are those of the spec; "" and "a" mean all, "u" is another word for "c".
var deviceTypes = map[string]devices.Type{
	"": devices.WildcardDevice, "a": devices.WildcardDevice, "b": devices.BlockDevice, "c": devices.CharDevice, "u": devices.CharDevice,
}

func devicesFromSpec(r *specs.LinuxResources, out *cgroups.Resources) error {
	for i, d := range r.Devices {
		kind, ok := deviceTypes[d.Type]
		if !ok {
			return fmt.Errorf("invalid type %q of device rule %d", d.Type, i)
		}
		access := devices.Permissions(d.Access)
		if d.Access == "" {
			access = "rwm"
		}
		if strings.Trim(d.Access, "rwm") != "" {
			return fmt.Errorf("invalid access %q of device rule %d: it is made of r, w and m", d.Access, i)
		}
		out.Devices = append(out.Devices, &devices.Rule{
			Type: kind, Major: number(d.Major), Minor: number(d.Minor), Permissions: access, Allow: d.Allow,
		})
	}
	return nil
}

// number is a device's major or minor number, where nil means any.
func number(n *int64) int64 {
	if n == nil {
		return devices.Wildcard
	}
	return *n
}

func networkFromSpec(r *specs.LinuxResources, out *cgroups.Resources) error {
	n := r.Network
	if n == nil {
		return nil
	}
	out.NetClsClassid = value(n.ClassID)
	for _, p := range n.Priorities {
		out.NetPrioIfpriomap = append(out.NetPrioIfpriomap, &cgroups.IfPrioMap{Interface: p.Name, Priority: int64(p.Priority)})
	}
	return nil
}

// value is what a pointer of the spec points to; zero limits nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
