package ociruntime

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Event is what the command `events` prints, in runc's form.
type Event struct {
	Type string `json:"type"` // "stats" or "oom"
	ID   string `json:"id"`
	Data *Stats `json:"data,omitempty"`
}

// Stats are what a container uses.
type Stats struct {
	CPU struct {
		Usage struct {
			Total  uint64   `json:"total,omitempty"` // nanoseconds
			Percpu []uint64 `json:"percpu,omitempty"`
			Kernel uint64   `json:"kernel"`
			User   uint64   `json:"user"`
		} `json:"usage"`
		Throttling struct {
			Periods          uint64 `json:"periods,omitempty"`
			ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
			ThrottledTime    uint64 `json:"throttledTime,omitempty"`
		} `json:"throttling"`
	} `json:"cpu"`
	Memory struct {
		Cache     uint64            `json:"cache,omitempty"` // bytes, as all of these
		Usage     MemoryUse         `json:"usage"`
		Swap      MemoryUse         `json:"swap"`
		Kernel    MemoryUse         `json:"kernel"`
		KernelTCP MemoryUse         `json:"kernelTCP"`
		Raw       map[string]uint64 `json:"raw,omitempty"`
	} `json:"memory"`
	Pids struct {
		Current uint64 `json:"current,omitempty"`
		Limit   uint64 `json:"limit,omitempty"`
	} `json:"pids"`
	Blkio struct {
		ServiceBytes []BlockUse `json:"ioServiceBytesRecursive,omitempty"`
		Serviced     []BlockUse `json:"ioServicedRecursive,omitempty"`
		Queued       []BlockUse `json:"ioQueueRecursive,omitempty"`
		ServiceTime  []BlockUse `json:"ioServiceTimeRecursive,omitempty"`
		WaitTime     []BlockUse `json:"ioWaitTimeRecursive,omitempty"`
		Merged       []BlockUse `json:"ioMergedRecursive,omitempty"`
		Time         []BlockUse `json:"ioTimeRecursive,omitempty"`
		Sectors      []BlockUse `json:"sectorsRecursive,omitempty"`
	} `json:"blkio"`
	Hugetlb map[string]HugePageUse `json:"hugetlb"`
}

// MemoryUse is a kind of memory.
type MemoryUse struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// BlockUse is one figure of a block device.
type BlockUse struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// HugePageUse is that of one page size.
type HugePageUse struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// Stats reads what a container uses at this moment.
func (r *Runtime) Stats(id string) (*Event, error) {
	c, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	if _, err := c.require("measure", specs.StateCreating, specs.StateCreated, specs.StateRunning, Paused); err != nil {
		return nil, err
	}
	m, err := c.needGroup("measure")
	if err != nil {
		return nil, err
	}
	s, err := m.GetStats()
	if err != nil {
		return nil, fmt.Errorf("measuring container %q: %w", id, err)
	}
	return &Event{Type: "stats", ID: id, Data: statsOf(s)}, nil
}

// Watch tells of what a container uses once an interval, and at once of processes that
// the kernel has killed for want of memory, until it stops or ctx ends.
func (r *Runtime) Watch(ctx context.Context, id string, interval time.Duration, tell func(*Event) error) error {
	c, err := r.Open(id)
	if err != nil {
		return err
	}
	m, err := c.needGroup("watch")
	if err != nil {
		return err
	}
	killed, _ := m.OOMKillCount()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	next := time.Now().Add(interval)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if n, err := m.OOMKillCount(); err == nil && n > killed {
			killed = n
			if err := tell(&Event{Type: "oom", ID: id}); err != nil {
				return err
			}
		}
		if status, err := c.status(); err != nil || status == specs.StateStopped {
			return err
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(interval)
		event, err := r.Stats(id)
		if err == nil {
			err = tell(event)
		}
		if err != nil {
			return err
		}
	}
}

func statsOf(in *cgroups.Stats) *Stats {
	s := new(Stats)
	usage := in.CpuStats.CpuUsage
	s.CPU.Usage.Total, s.CPU.Usage.Percpu = usage.TotalUsage, usage.PercpuUsage
	s.CPU.Usage.Kernel, s.CPU.Usage.User = usage.UsageInKernelmode, usage.UsageInUsermode
	throttling := in.CpuStats.ThrottlingData
	s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods, s.CPU.Throttling.ThrottledTime =
		throttling.Periods, throttling.ThrottledPeriods, throttling.ThrottledTime
	memory := in.MemoryStats
	s.Memory.Cache, s.Memory.Raw = memory.Cache, memory.Stats
	s.Memory.Usage, s.Memory.Swap = memoryUse(memory.Usage), memoryUse(memory.SwapUsage)
	s.Memory.Kernel, s.Memory.KernelTCP = memoryUse(memory.KernelUsage), memoryUse(memory.KernelTCPUsage)
	s.Pids.Current, s.Pids.Limit = in.PidsStats.Current, in.PidsStats.Limit
	for _, b := range []struct {
		to   *[]BlockUse
		from []cgroups.BlkioStatEntry
	}{
		{&s.Blkio.ServiceBytes, in.BlkioStats.IoServiceBytesRecursive},
		{&s.Blkio.Serviced, in.BlkioStats.IoServicedRecursive},
		{&s.Blkio.Queued, in.BlkioStats.IoQueuedRecursive},
		{&s.Blkio.ServiceTime, in.BlkioStats.IoServiceTimeRecursive},
		{&s.Blkio.WaitTime, in.BlkioStats.IoWaitTimeRecursive},
		{&s.Blkio.Merged, in.BlkioStats.IoMergedRecursive},
		{&s.Blkio.Time, in.BlkioStats.IoTimeRecursive},
		{&s.Blkio.Sectors, in.BlkioStats.SectorsRecursive},
	} {
		for _, e := range b.from {
			*b.to = append(*b.to, BlockUse{e.Major, e.Minor, e.Op, e.Value})
		}
	}
	s.Hugetlb = map[string]HugePageUse{}
	for size, h := range in.HugetlbStats {
		s.Hugetlb[size] = HugePageUse{h.Usage, h.MaxUsage, h.Failcnt}
	}
	return s
}

func memoryUse(m cgroups.MemoryData) MemoryUse {
	return MemoryUse{Limit: m.Limit, Usage: m.Usage, Max: m.MaxUsage, Failcnt: m.Failcnt}
}
