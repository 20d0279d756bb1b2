package cgroup

import (
	"fmt"
	"maps"
	"path"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs2"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Limit sets a group's limits; what is zero stays as it is. Where a controller is not
// there, what it would limit is left out, and its name comes back.
func Limit(g *store.Group, r *cgroups.Resources) (lacking []string, err error) {
	if err := CheckV2(r); err != nil {
		return nil, err
	}
	if !limits(r) {
		return nil, nil
	}
	r, lacking = without(r, controllers(g.Path))
	r, unweighed := weighed(g, r)
	// An empty list of rules would be a filter that lets nothing through.
	r.SkipDevices = len(r.Devices) == 0
	lacking = append(lacking, unweighed...)
	m, err := manager(g)
	if err == nil {
		err = m.Set(r)
	}
	if err != nil {
		return nil, fmt.Errorf("limiting the cgroup %q: %w", g.Path, err)
	}
	return lacking, nil
}

// weights is what is lacking where the io controller is there and no disk's scheduler
// knows shares: BFQ does, and the cost model of io.cost.
const weights = "io.weight"

// weighed makes the weights of block devices such as this kernel takes them. The
// library knows those of BFQ, for all devices and for one, and that of io.cost for all.
func weighed(g *store.Group, r *cgroups.Resources) (*cgroups.Resources, []string) {
	if r.BlkioWeight == 0 && len(r.BlkioWeightDevice) == 0 || exists(g, "io.bfq.weight") {
		return r, nil
	}
	changed := *r
	changed.BlkioWeightDevice = nil
	if !exists(g, "io.weight") {
		changed.BlkioWeight = 0
		return &changed, []string{weights}
	}
	if len(r.BlkioWeightDevice) > 0 {
		var lines []string
		for _, d := range r.BlkioWeightDevice {
			lines = append(lines, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, cgroups.ConvertBlkIOToIOWeightValue(d.Weight)))
		}
		changed.Unified = map[string]string{}
		maps.Copy(changed.Unified, r.Unified)
		changed.Unified["io.weight"] = strings.Join(lines, "\n")
	}
	return &changed, nil
}

func exists(g *store.Group, name string) bool {
	return unix.Access(path.Join(g.Path, name), unix.F_OK) == nil
}

func manager(g *store.Group) (*fs2.Manager, error) {
	return fs2.NewManager(&cgroups.Cgroup{Resources: &cgroups.Resources{}, Rootless: true}, g.Path)
}

// Lacking are the controllers that r needs and that are not among those that there are.
func Lacking(r *cgroups.Resources, there []string) []string {
	_, lacking := without(r, there)
	return lacking
}
