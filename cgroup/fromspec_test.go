package cgroup

import (
	"encoding/json"
	"strings"
	"testing"

	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func fromJSON(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	r := new(specs.LinuxResources)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFromSpec(t *testing.T) {
	r, err := FromSpec(fromJSON(t, `{
		"memory": {"limit": 100, "reservation": 50, "swap": 300},
		"cpu": {"shares": 1024, "quota": 20000, "period": 40000, "cpus": "0-1", "mems": "0", "idle": 1, "burst": 7},
		"pids": {"limit": 9},
		"blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 77}]},
		"hugepageLimits": [{"pageSize": "2MB", "limit": 4}],
		"rdma": {"mlx5": {"hcaHandles": 3}},
		"unified": {"memory.high": "5"},
		"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "u", "major": 1, "minor": 3, "access": "mr"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Memory != 100 || r.MemoryReservation != 50 || r.MemorySwap != 300 {
		t.Errorf("memory: %d, %d, %d", r.Memory, r.MemoryReservation, r.MemorySwap)
	}
	if r.CpuShares != 1024 || r.CpuWeight == 0 || r.CpuQuota != 20000 || r.CpuPeriod != 40000 || r.CpusetCpus != "0-1" || r.CpusetMems != "0" || *r.CPUIdle != 1 || *r.CpuBurst != 7 {
		t.Errorf("cpu: %+v", r)
	}
	if *r.PidsLimit != 9 || r.BlkioWeight != 500 || r.BlkioThrottleReadBpsDevice[0].StringName("rbps") != "8:1 rbps=77" {
		t.Errorf("pids and blockIO: %+v", r)
	}
	if r.HugetlbLimit[0].Pagesize != "2MB" || *r.Rdma["mlx5"].HcaHandles != 3 || r.Unified["memory.high"] != "5" {
		t.Errorf("hugetlb, rdma, unified: %+v", r)
	}
	if all, one := *r.Devices[0], *r.Devices[1]; all.Type != devices.WildcardDevice || all.Major != devices.Wildcard || all.Allow || one.Type != devices.CharDevice || one.Minor != 3 || !one.Allow {
		t.Errorf("devices: %+v, %+v", all, one)
	}
	if err := CheckV2(r); err != nil {
		t.Errorf("CheckV2: %v", err)
	}
}

func TestFromSpecRefuses(t *testing.T) {
	for _, text := range []string{`{"devices": [{"type": "p"}]}`, `{"devices": [{"type": "c", "access": "x"}]}`} {
		if _, err := FromSpec(fromJSON(t, text)); err == nil || !strings.Contains(err.Error(), "device rule 0") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCheckV2(t *testing.T) {
	for text, word := range map[string]string{
		`{"memory": {"swappiness": 0}}`:                         "swappiness",
		`{"memory": {"disableOOMKiller": true}}`:                "OOM killer",
		`{"cpu": {"realtimeRuntime": 5}}`:                       "real-time",
		`{"cpu": {"realtimePeriod": 5}}`:                        "real-time",
		`{"blockIO": {"leafWeight": 10}}`:                       "leaf weight",
		`{"network": {"classID": 5}}`:                           "network traffic",
		`{"network": {"priorities": [{"name": "eth0"}]}}`:       "network traffic",
		`{"blockIO": {"weightDevice": [{"leafWeight": 10}] } }`: "leaf weight",
	} {
		r, err := FromSpec(fromJSON(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckV2(r); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
