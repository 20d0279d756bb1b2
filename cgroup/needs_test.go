package cgroup

import (
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/cgroups"
)

// Every resource that is set is found by the one controller that limits it, and is
// gone where that one is not there.
func TestWithout(t *testing.T) {
	limit, some := int64(5), uint64(1)
	idle := int64(1)
	device := []*cgroups.ThrottleDevice{cgroups.NewThrottleDevice(8, 0, 1)}
	for _, c := range []struct {
		controller string
		resources  cgroups.Resources
	}{
		{"memory", cgroups.Resources{Memory: 1}}, {"memory", cgroups.Resources{MemoryReservation: 1}}, {"memory", cgroups.Resources{MemorySwap: -1}},
		{"cpu", cgroups.Resources{CpuWeight: 1}}, {"cpu", cgroups.Resources{CpuQuota: -1}}, {"cpu", cgroups.Resources{CpuPeriod: 1}},
		{"cpu", cgroups.Resources{CpuBurst: &some}}, {"cpu", cgroups.Resources{CPUIdle: &idle}},
		{"cpuset", cgroups.Resources{CpusetCpus: "0"}}, {"cpuset", cgroups.Resources{CpusetMems: "0"}},
		{"pids", cgroups.Resources{PidsLimit: &limit}},
		{"io", cgroups.Resources{BlkioWeight: 10}}, {"io", cgroups.Resources{BlkioWeightDevice: []*cgroups.WeightDevice{{}}}},
		{"io", cgroups.Resources{BlkioThrottleReadBpsDevice: device}}, {"io", cgroups.Resources{BlkioThrottleWriteBpsDevice: device}},
		{"io", cgroups.Resources{BlkioThrottleReadIOPSDevice: device}}, {"io", cgroups.Resources{BlkioThrottleWriteIOPSDevice: device}},
		{"hugetlb", cgroups.Resources{HugetlbLimit: []*cgroups.HugepageLimit{{}}}}, {"rdma", cgroups.Resources{Rdma: map[string]cgroups.LinuxRdma{"x": {}}}},
	} {
		all := []string{"cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma"}
		if !limits(&c.resources) {
			t.Errorf("%+v is taken for none", c.resources)
		}
		if left, lacking := without(&c.resources, all); len(lacking) > 0 || !reflect.DeepEqual(*left, c.resources) {
			t.Errorf("%+v with all: %+v, lacking %v", c.resources, *left, lacking)
		}
		others := slices.DeleteFunc(all, func(name string) bool { return name == c.controller })
		if left, lacking := without(&c.resources, others); !slices.Equal(lacking, []string{c.controller}) || !reflect.DeepEqual(*left, cgroups.Resources{}) {
			t.Errorf("%+v without %s: %+v, lacking %v", c.resources, c.controller, *left, lacking)
		}
	}
	if limits(&cgroups.Resources{}) {
		t.Error("nothing is taken for limits")
	}
	if unlimited := int64(-1); len(Lacking(&cgroups.Resources{PidsLimit: &unlimited}, nil)) > 0 {
		t.Error("no limit of processes needs the controller")
	}
}

func TestFind(t *testing.T) {
	p := Find()
	if (p.Driver == None) != (p.Why != nil) {
		t.Errorf("driver %q, and why not: %v", p.Driver, p.Why)
	}
	if p.Version != "2" && p.Driver != None {
		t.Errorf("driver %q with version %q", p.Driver, p.Version)
	}
}
