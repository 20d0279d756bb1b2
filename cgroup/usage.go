package cgroup

import (
	"fmt"
	"os"

	"github.com/opencontainers/cgroups"
	"github.com/skiff-containers/skiff/store"
)

// Usage is what the processes of a group have used, or use.
type Usage struct {
	CPU         uint64 // nanoseconds
	Memory      uint64 // bytes, without the page cache that nobody has touched lately, as Docker counts
	MemoryLimit uint64 // bytes; 0 is none
	Read, Wrote uint64 // bytes, of block devices
	Pids        uint64
	PidsLimit   uint64   // 0 is none
	Lacking     []string // controllers without which some of this is not known
}

// UsageOf reads a group's statistics.
func UsageOf(g *store.Group) (*Usage, error) {
	if _, err := os.Stat(g.Path); err != nil {
		return nil, err
	}
	m, err := manager(g)
	if err != nil {
		return nil, err
	}
	s, err := m.Stats(&cgroups.StatsOptions{Controllers: cgroups.CPU | cgroups.Memory | cgroups.IO | cgroups.Pids})
	if err != nil {
		return nil, fmt.Errorf("reading the statistics of the cgroup %q: %w", g.Path, err)
	}
	u := &Usage{CPU: s.CpuStats.CpuUsage.TotalUsage, Memory: s.MemoryStats.Usage.Usage, Pids: s.PidsStats.Current}
	if cache := s.MemoryStats.Stats["inactive_file"]; cache < u.Memory {
		u.Memory -= cache
	}
	if limit := s.MemoryStats.Usage.Limit; limit != noLimit {
		u.MemoryLimit = limit
	}
	if limit := s.PidsStats.Limit; limit != noLimit {
		u.PidsLimit = limit
	}
	for _, entry := range s.BlkioStats.IoServiceBytesRecursive {
		switch entry.Op {
		case "Read":
			u.Read += entry.Value
		case "Write":
			u.Wrote += entry.Value
		}
	}
	for _, file := range [...]struct{ name, controller string }{
		{"memory.current", "memory"}, {"pids.current", "pids"}, {"io.stat", "io"},
	} {
		if !exists(g, file.name) {
			u.Lacking = append(u.Lacking, file.controller)
		}
	}
	return u, nil
}

// noLimit is how the library reads "max".
const noLimit = ^uint64(0)
