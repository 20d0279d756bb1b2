package run

import (
	"fmt"
	"slices"

	"github.com/skiff-containers/skiff/cgroup"
)

// limits fills what containers can be limited by here, and warns, in Docker's words
// and order, of what they cannot.
func (i *Info) limits() {
	place := cgroup.Find()
	i.CgroupDriver, i.CgroupVersion, i.CgroupControllers = place.Driver, place.Version, place.Controllers
	has := func(controller string) bool {
		return place.Driver != cgroup.None && slices.Contains(place.Controllers, controller)
	}
	i.MemoryLimit, i.SwapLimit = has("memory"), has("memory") && exists("/proc/swaps")
	i.CpuCfsPeriod, i.CpuCfsQuota, i.CPUShares = has("cpu"), has("cpu"), has("cpu")
	i.CPUSet, i.PidsLimit, i.BlkioLimit = has("cpuset"), has("pids"), has("io")
	if place.Driver == cgroup.None {
		warning := fmt.Sprintf("no limits of memory, processors and processes can be set: %v", place.Why)
		if hint := hintOf(place.Why); hint != "" {
			warning += "; mend it with: " + hint
		}
		i.Warnings = append(i.Warnings, warning)
		return
	}
	missing := false
	for _, w := range []struct {
		there bool
		what  string
	}{
		{i.MemoryLimit, "No memory limit support"}, {i.SwapLimit, "No swap limit support"},
		{i.CpuCfsPeriod, "No cpu cfs period support"}, {i.CpuCfsQuota, "No cpu cfs quota support"},
		{i.CPUShares, "No cpu shares support"}, {i.CPUSet, "No cpuset support"},
		{i.PidsLimit, "No pids limit support"}, {i.BlkioLimit, "No io.weight, io.max support"},
	} {
		if !w.there {
			i.Warnings, missing = append(i.Warnings, w.what), true
		}
	}
	if missing && place.Driver == cgroup.Systemd {
		i.Warnings[len(i.Warnings)-1] += "; give users all controllers with: " + delegation
	}
}
