package cgroup

import (
	"slices"

	"github.com/opencontainers/cgroups"
)

// needs tells by which controller each of the resources is limited, and takes those
// of one controller out.
var needs = [...]struct {
	controller string
	wanted     func(*cgroups.Resources) bool
	drop       func(*cgroups.Resources)
}{
	{"memory",
		func(r *cgroups.Resources) bool { return r.Memory != 0 || r.MemoryReservation != 0 || r.MemorySwap != 0 },
		func(r *cgroups.Resources) { r.Memory, r.MemoryReservation, r.MemorySwap = 0, 0, 0 }},
	{"cpu",
		func(r *cgroups.Resources) bool {
			return r.CpuWeight != 0 || r.CpuQuota != 0 || r.CpuPeriod != 0 || r.CPUIdle != nil || r.CpuBurst != nil
		},
		func(r *cgroups.Resources) {
			r.CpuShares, r.CpuWeight, r.CpuQuota, r.CpuPeriod, r.CPUIdle, r.CpuBurst = 0, 0, 0, 0, nil, nil
		}},
	{"cpuset",
		func(r *cgroups.Resources) bool { return r.CpusetCpus != "" || r.CpusetMems != "" },
		func(r *cgroups.Resources) { r.CpusetCpus, r.CpusetMems = "", "" }},
	{"pids",
		func(r *cgroups.Resources) bool { return r.PidsLimit != nil && *r.PidsLimit > 0 },
		func(r *cgroups.Resources) { r.PidsLimit = nil }},
	{"io",
		func(r *cgroups.Resources) bool {
			return r.BlkioWeight != 0 || len(r.BlkioWeightDevice) > 0 ||
				len(r.BlkioThrottleReadBpsDevice) > 0 || len(r.BlkioThrottleWriteBpsDevice) > 0 ||
				len(r.BlkioThrottleReadIOPSDevice) > 0 || len(r.BlkioThrottleWriteIOPSDevice) > 0
		},
		func(r *cgroups.Resources) {
			r.BlkioWeight, r.BlkioWeightDevice = 0, nil
			r.BlkioThrottleReadBpsDevice, r.BlkioThrottleWriteBpsDevice = nil, nil
			r.BlkioThrottleReadIOPSDevice, r.BlkioThrottleWriteIOPSDevice = nil, nil
		}},
	{"hugetlb",
		func(r *cgroups.Resources) bool { return len(r.HugetlbLimit) > 0 },
		func(r *cgroups.Resources) { r.HugetlbLimit = nil }},
	{"rdma",
		func(r *cgroups.Resources) bool { return len(r.Rdma) > 0 },
		func(r *cgroups.Resources) { r.Rdma = nil }},
}

// limits tells whether anything is to be set at all.
func limits(r *cgroups.Resources) bool {
	for _, n := range needs {
		if n.wanted(r) {
			return true
		}
	}
	return r.PidsLimit != nil || len(r.Unified) > 0 || len(r.Devices) > 0
}

// without returns resources that the controllers which are there can limit, and the
// names of those that would be needed beside them.
func without(r *cgroups.Resources, there []string) (*cgroups.Resources, []string) {
	left := *r
	var lacking []string
	for _, n := range needs {
		if slices.Contains(there, n.controller) {
			continue
		}
		if n.wanted(&left) {
			lacking = append(lacking, n.controller)
		}
		n.drop(&left)
	}
	return &left, lacking
}
