package run

import (
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/cgroup"
	"github.com/skiff-containers/skiff/store"
)

func TestLimitOptions(t *testing.T) {
	pids := 0
	o := LimitOptions{Memory: "64m", CPUs: "0.5", CPUShares: 1, PidsLimit: &pids, DeviceReadBps: []string{"/dev/sda:2kb"}, DeviceWriteIOps: []string{"/dev/sda:7"}, BlkioWeightDevice: []string{"/dev/sda:20"}}
	r, err := o.over(store.Resources{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Memory != 64<<20 || r.MemorySwap != 128<<20 || r.NanoCpus != 5e8 || r.CpuShares != 2 || *r.PidsLimit != -1 {
		t.Errorf("%+v", r)
	}
	if r.BlkioDeviceReadBps[0] != (store.ThrottleDevice{Path: "/dev/sda", Rate: 2048}) || r.BlkioDeviceWriteIOps[0].Rate != 7 || r.BlkioWeightDevice[0].Weight != 20 {
		t.Errorf("%+v", r)
	}
	// What was not given stays, and swap is not reckoned anew.
	more, err := (&LimitOptions{MemoryReservation: "32m"}).over(r)
	if err != nil || more.Memory != r.Memory || more.MemorySwap != r.MemorySwap || more.MemoryReservation != 32<<20 {
		t.Errorf("%+v, %v", more, err)
	}
}

func TestLimitOptionsRefused(t *testing.T) {
	for _, o := range []LimitOptions{
		{Memory: "much"}, {Memory: "99999999999999999999"}, {MemorySwap: "9999999t"}, {MemorySwap: "-2x"}, {CPUs: "a half"}, {CPUs: "0.0000000001"},
		{DeviceReadBps: []string{"/dev/sda"}}, {DeviceReadBps: []string{"sda:1"}}, {DeviceReadBps: []string{"/dev/sda:-1"}}, {DeviceReadIOps: []string{"/dev/sda:1k"}},
		{BlkioWeightDevice: []string{"/dev/sda:5"}}, {BlkioWeightDevice: []string{"/dev/sda:1:2"}},
	} {
		if r, err := o.over(store.Resources{}); err == nil {
			t.Errorf("%+v gives %+v", o, r)
		}
	}
}

func TestCheckResources(t *testing.T) {
	for word, r := range map[string]store.Resources{
		"memory limit allowed is 6MB":       {Memory: 1 << 20},
		"larger than memory limit":          {Memory: 64 << 20, MemorySwap: 32 << 20},
		"always set the Memory limit":       {MemorySwap: 32 << 20},
		"memory reservation allowed is 6MB": {MemoryReservation: 5},
		"less than memory reservation":      {Memory: 8 << 20, MemoryReservation: 16 << 20},
		"Nano CPUs and CPU Period":          {NanoCpus: 1e9, CpuPeriod: 5000},
		"Nano CPUs and CPU Quota":           {NanoCpus: 1e9, CpuQuota: 5000},
		"invalid CPU shares":                {CpuShares: -1},
		"cfs period":                        {CpuPeriod: 5},
		"cfs quota":                         {CpuQuota: 5},
		"blkio weight":                      {BlkioWeight: 5},
		"range of CPUs":                     {NanoCpus: 1e6},
		"requested CPUs are not available":  {CpusetCpus: "8000"},
		"requested memory nodes":            {CpusetMems: "8000"},
		"invalid value":                     {CpusetCpus: "1-"},
	} {
		if err := checkResources(&r); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%+v: %v, not about %q", r, err, word)
		}
	}
	if err := checkResources(&store.Resources{Memory: 64 << 20, MemorySwap: -1, NanoCpus: 1e9, CpusetCpus: "0", CpusetMems: "0", BlkioWeight: 10}); err != nil {
		t.Error(err)
	}
}

func TestParseRanges(t *testing.T) {
	all, err := parseRanges("0-2,5")
	if err != nil || len(all) != 4 || !all[1] || all[3] || !all[5] {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"", "x", "3-1", "-1", "1,,2", "0-99999999"} {
		if all, err := parseRanges(bad); err == nil {
			t.Errorf("%q gives %v", bad, all)
		}
	}
}

func TestSpecResources(t *testing.T) {
	pids := int64(9)
	h := &store.HostConfig{CgroupConf: map[string]string{"memory.high": "7"}, Resources: store.Resources{Memory: 64 << 20, MemorySwap: 64 << 20, NanoCpus: 15e8, CpuShares: 512, PidsLimit: &pids}}
	spec, err := specResources(h)
	if err != nil {
		t.Fatal(err)
	}
	r, err := cgroup.FromSpec(spec)
	if err != nil {
		t.Fatal(err)
	}
	if r.Memory != 64<<20 || r.MemorySwap != 64<<20 || r.CpuQuota != 150000 || r.CpuPeriod != 100000 || r.CpuWeight == 0 || *r.PidsLimit != 9 || r.Unified["memory.high"] != "7" {
		t.Errorf("%+v", r)
	}
	if spec, err := specResources(&store.HostConfig{}); err != nil || spec.Memory != nil || spec.CPU != nil || spec.Pids != nil || spec.BlockIO != nil {
		t.Errorf("no limits give %+v, %v", spec, err)
	}
	h.BlkioDeviceReadBps = []store.ThrottleDevice{{Path: "/dev/null", Rate: 1}}
	if _, err := specResources(h); err == nil || !strings.Contains(err.Error(), "not a block device") {
		t.Errorf("/dev/null is taken for a disk: %v", err)
	}
}
