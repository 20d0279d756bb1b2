package cgroup

import (
	"context"
	"fmt"
	"strconv"

	"github.com/opencontainers/cgroups"
	"github.com/skiff-containers/skiff/store"
)

// shares are the properties of a scope by which it gets its share of what it and its
// neighbours want: weights count among the children of one group, and memory is
// protected no more than the group above protects (cgroup-v2.rst, Weights and
// Protections). The container's own group lies in the scope, so what is set there
// counts against the shim alone. The files of a scope are the manager's to write.
func shares(r *cgroups.Resources) []property {
	var all []property
	add := func(name string, value uint64) {
		if value != 0 {
			all = append(all, prop(name, value))
		}
	}
	add("CPUWeight", r.CpuWeight)
	add("IOWeight", cgroups.ConvertBlkIOToIOWeightValue(r.BlkioWeight))
	add("MemoryLow", uint64(max(r.MemoryReservation, 0)))
	for file, name := range map[string]string{"cpu.weight": "CPUWeight", "memory.low": "MemoryLow", "memory.min": "MemoryMin"} {
		if n, err := strconv.ParseUint(r.Unified[file], 10, 64); err == nil {
			add(name, n)
		}
	}
	type deviceWeight struct { // a(st) of D-Bus
		Path   string
		Weight uint64
	}
	var devices []deviceWeight
	for _, d := range r.BlkioWeightDevice {
		devices = append(devices, deviceWeight{fmt.Sprintf("/dev/block/%d:%d", d.Major, d.Minor), cgroups.ConvertBlkIOToIOWeightValue(d.Weight)})
	}
	if devices != nil {
		all = append(all, prop("IODeviceWeight", devices))
	}
	return all
}

// Update is Limit for a container that runs already. Its scope is given its share anew.
func (p *Place) Update(g *store.Group, r *cgroups.Resources) (lacking []string, err error) {
	if lacking, err = Limit(g, r); err != nil || g.Unit == "" {
		return lacking, err
	}
	properties := shares(r)
	if len(properties) == 0 {
		return lacking, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := dial(ctx, p.sockets)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	return lacking, conn.setProperties(g.Unit, properties)
}
