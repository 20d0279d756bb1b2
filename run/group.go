package run

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/cgroup"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// cpuPeriod is the kernel's default, in microseconds, in which --cpus is counted.
const cpuPeriod = 100000

// specResources translates a container's limits into those of an OCI config. Block
// devices are looked up: they may have another number than at the last start.
func specResources(h *store.HostConfig) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{Unified: h.CgroupConf}
	m := &specs.LinuxMemory{Limit: unlessZero(h.Memory), Reservation: unlessZero(h.MemoryReservation), Swap: unlessZero(h.MemorySwap)}
	if *m != (specs.LinuxMemory{}) {
		r.Memory = m
	}
	c := &specs.LinuxCPU{Quota: unlessZero(h.CpuQuota), Period: unlessZero(uint64(h.CpuPeriod)), Shares: unlessZero(uint64(h.CpuShares)),
		Cpus: h.CpusetCpus, Mems: h.CpusetMems}
	if h.NanoCpus > 0 {
		period, quota := uint64(cpuPeriod), h.NanoCpus*cpuPeriod/1e9
		c.Period, c.Quota = &period, &quota
	}
	if *c != (specs.LinuxCPU{}) {
		r.CPU = c
	}
	if h.PidsLimit != nil {
		r.Pids = &specs.LinuxPids{Limit: h.PidsLimit}
	}
	var err error
	r.BlockIO, err = specBlockIO(&h.Resources)
	return r, err
}

func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func specBlockIO(h *store.Resources) (*specs.LinuxBlockIO, error) {
	b := &specs.LinuxBlockIO{Weight: unlessZero(h.BlkioWeight)}
	any := b.Weight != nil
	for _, d := range h.BlkioWeightDevice {
		number, err := blockDevice(d.Path)
		if err != nil {
			return nil, err
		}
		weight := d.Weight
		b.WeightDevice = append(b.WeightDevice, specs.LinuxWeightDevice{LinuxBlockIODevice: number, Weight: &weight})
		any = true
	}
	for _, t := range []struct {
		to   *[]specs.LinuxThrottleDevice
		from []store.ThrottleDevice
	}{
		{&b.ThrottleReadBpsDevice, h.BlkioDeviceReadBps}, {&b.ThrottleWriteBpsDevice, h.BlkioDeviceWriteBps},
		{&b.ThrottleReadIOPSDevice, h.BlkioDeviceReadIOps}, {&b.ThrottleWriteIOPSDevice, h.BlkioDeviceWriteIOps},
	} {
		for _, d := range t.from {
			number, err := blockDevice(d.Path)
			if err != nil {
				return nil, err
			}
			*t.to = append(*t.to, specs.LinuxThrottleDevice{LinuxBlockIODevice: number, Rate: d.Rate})
			any = true
		}
	}
	if !any {
		return nil, nil
	}
	return b, nil
}

func blockDevice(path string) (d specs.LinuxBlockIODevice, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return d, fmt.Errorf("looking up device %q: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return d, fmt.Errorf("looking up device %q: not a block device", path)
	}
	d.Major, d.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	return d, nil
}

// limitsOf are a container's limits as the cgroup library takes them.
func limitsOf(r *store.Record) (*cgroup.Resources, error) {
	spec, err := specResources(&r.HostConfig)
	if err != nil {
		return nil, err
	}
	return cgroup.FromSpec(spec)
}

// grouping is a container's cgroup on its way; nil where there is none.
type grouping struct {
	making *cgroup.Making
	record *store.Record
	limits *cgroup.Resources
}

// beginGroup has a cgroup made for a container that is about to be started. Where
// none can be made the container runs without one, unless that is against what was
// asked for.
func (e *Engine) beginGroup(r *store.Record) (*grouping, error) {
	limits, err := limitsOf(r)
	if err != nil {
		return nil, err
	}
	place := cgroup.Find()
	if place.Driver == cgroup.None {
		return nil, e.ungrouped(r, limits, place.Why, e.sayOnce)
	}
	return &grouping{place.Begin(cgroup.Request{Container: r.ID, Parent: r.HostConfig.CgroupParent, Limits: limits}), r, limits}, nil
}

func (g *grouping) abandon() {
	if g != nil {
		g.making.Abandon()
	}
}

// expectGroup has a shim, which has just been forked, wait for its container's cgroup.
func (e *Engine) expectGroup(g *grouping, shim *conmon.Shim) {
	if g == nil {
		return
	}
	g.making.For(shim.PID())
	shim.Expect(func(pid int) (*store.Group, error) {
		group, err := g.making.Wait(pid)
		if err != nil {
			return nil, e.ungrouped(g.record, g.limits, err, e.sayOnce)
		}
		lacking, err := cgroup.Limit(group, g.limits)
		if err == nil {
			err = e.lacking(g.record, lacking, e.sayOnce)
		}
		return group, err
	})
}

// ungrouped tells that a container has no cgroup, where it was asked for a thing for
// which it would need one. It is an error where that was asked for strictly.
// A start says it once in the life of the store.
func (e *Engine) ungrouped(r *store.Record, limits *cgroup.Resources, why error, say func(key, text string)) error {
	what := strings.Join(askedLimits(r, limits, nil), ", ")
	if what == "" {
		return nil
	}
	if r.HostConfig.StrictLimits {
		return &userns.HostError{What: fmt.Sprintf("limiting %s is not possible", what), Hint: hintOf(why), Err: why}
	}
	text := fmt.Sprintf("%s cannot be limited: %v", what, why)
	if hint := hintOf(why); hint != "" {
		text += " (mend it with: " + hint + ")"
	}
	say("unlimited", text)
	return nil
}

// lacking is ungrouped for single controllers.
func (e *Engine) lacking(r *store.Record, controllers []string, say func(key, text string)) error {
	if len(controllers) == 0 {
		return nil
	}
	why := lackingControllers(controllers)
	if r.HostConfig.StrictLimits {
		return why
	}
	say("lacking-"+strings.Join(controllers, "-"), fmt.Sprintf("%s (mend it with: %s)", why.What, why.Hint))
	return nil
}

// askedLimits names what a container is to be limited by, in flags' words.
func askedLimits(r *store.Record, limits *cgroup.Resources, there []string) []string {
	var all []string
	for _, controller := range cgroup.Lacking(limits, there) {
		all = append(all, limitWords[controller])
	}
	if len(r.HostConfig.CgroupConf) > 0 {
		all = append(all, "--cgroup-conf")
	}
	if r.HostConfig.CgroupParent != "" {
		all = append(all, "--cgroup-parent")
	}
	return all
}

// limitWords say what each controller limits.
var limitWords = map[string]string{
	"cpu": "processor time", "memory": "memory", "pids": "processes", "cpuset": "the choice of processors", "io": "block I/O",
	"io.weight": "the weight of block I/O",
}

// delegation is how an administrator gives users all controllers that skiff can use
// (user@.service(5), Delegate=).
const delegation = `sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\nDelegate=cpu cpuset io memory pids\n' | ` +
	`sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, and log in again`

// lackingControllers says which controllers are not delegated, or not in this kernel.
func lackingControllers(names []string) *userns.HostError {
	var what []string
	hint := delegation
	for _, name := range names {
		what = append(what, limitWords[name])
		if name == "io.weight" && len(names) == 1 {
			hint = "sudo modprobe bfq, and choose bfq as the scheduler of the disks (/sys/block/*/queue/scheduler)"
		}
	}
	return &userns.HostError{
		What: fmt.Sprintf("%s cannot be limited: not available to this user as cgroup controllers: %s", strings.Join(what, ", "), strings.Join(names, ", ")),
		Hint: hint,
	}
}
