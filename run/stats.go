package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/cgroup"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Sample is what a container uses at one moment. Counters begin with the container's
// start; what a share is, two samples tell: [Sample.CPUPercent].
type Sample struct {
	ID   string
	Name string
	Read time.Time

	Running bool // false: it does not run, and all that follows is zero

	CPU         uint64 // nanoseconds of processor time
	SystemCPU   uint64 // nanoseconds of all processors of the host, idle time included
	OnlineCPUs  int
	Memory      uint64 // bytes, as Docker counts: without page cache that lies idle
	MemoryLimit uint64 // bytes; the host's memory where there is no limit
	Pids        uint64 // tasks: threads count
	PidsLimit   uint64 // 0 is none

	NetworkIn, NetworkOut   uint64 // bytes of all interfaces but lo; of the host's where the network is the host's
	BlockRead, BlockWritten uint64 // bytes

	// Counted says that there is no cgroup: the container's processes were added up
	// from /proc. What processes that have ended had used is missing then, and shared
	// memory counts once for each who has it.
	Counted bool
	// Lacking are the cgroup controllers without which some of this is not known.
	Lacking []string
}

// Stats measures a container now.
func (e *Engine) Stats(ctx context.Context, ref string) (*Sample, error) {
	c, r, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	s := &Sample{ID: c.ID, Name: r.Name, Read: time.Now()}
	if !state.Alive() {
		return s, nil
	}
	err = s.measure(state)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) {
		return &Sample{ID: c.ID, Name: r.Name, Read: s.Read}, nil // it has ended meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("measuring container %q: %w", r.Name, err)
	}
	return s, nil
}

// StatsAll measures the containers that run, or with all every one.
func (e *Engine) StatsAll(ctx context.Context, all bool) ([]*Sample, error) {
	rows, err := e.List(ctx, ListOptions{All: all})
	if err != nil {
		return nil, err
	}
	var samples []*Sample
	for _, row := range rows {
		sample, err := e.Stats(ctx, row.Record.ID)
		if errors.Is(err, store.ErrNoContainer) {
			continue
		}
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample)
	}
	return samples, nil
}

// CPUPercent is the share of one processor that was used since an earlier sample of
// the same container, in percent: two busy processors are 200.
func (s *Sample) CPUPercent(before *Sample) float64 {
	if before == nil || !s.Running || !before.Running || s.CPU <= before.CPU || s.SystemCPU <= before.SystemCPU {
		return 0
	}
	return float64(s.CPU-before.CPU) / float64(s.SystemCPU-before.SystemCPU) * float64(s.OnlineCPUs) * 100
}

// MemoryPercent is the used share of the limit.
func (s *Sample) MemoryPercent() float64 {
	if s.MemoryLimit == 0 {
		return 0
	}
	return float64(s.Memory) / float64(s.MemoryLimit) * 100
}

func (s *Sample) measure(state *store.State) (err error) {
	s.Running = true
	if s.SystemCPU, s.OnlineCPUs, err = systemCPU(); err != nil {
		return err
	}
	if state.Cgroup != nil {
		err = s.fromGroup(state.Cgroup)
	} else {
		s.Counted = true
		err = s.fromProcesses(state)
	}
	if err != nil {
		return err
	}
	if host := hostMemory(); s.MemoryLimit == 0 || s.MemoryLimit > host {
		s.MemoryLimit = host
	}
	s.NetworkIn, s.NetworkOut, err = networkBytes(state.Init.PID)
	return err
}

func (s *Sample) fromGroup(g *store.Group) error {
	u, err := cgroup.UsageOf(g)
	if err != nil {
		return err
	}
	s.CPU, s.Memory, s.MemoryLimit, s.Pids, s.PidsLimit = u.CPU, u.Memory, u.MemoryLimit, u.Pids, u.PidsLimit
	s.BlockRead, s.BlockWritten, s.Lacking = u.Read, u.Wrote, u.Lacking
	return nil
}

func hostMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// tick is the unit of times in /proc, USER_HZ: 10 ms on every architecture that skiff is built for.
const tick = 10 * time.Millisecond

// systemCPU reads the time that all processors have spent, and how many there are
// (proc_stat(5)). Guests' time is part of user time.
func systemCPU() (nanoseconds uint64, online int, err error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			online++
			continue
		}
		for _, text := range fields[1:9] {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("parsing /proc/stat: %w", err)
			}
			nanoseconds += n * uint64(tick)
		}
	}
	return nanoseconds, online, nil
}

// networkBytes adds up the interfaces of a process's network (proc_pid_net(5), dev).
func networkBytes(pid int) (in, out uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if errors.Is(err, os.ErrPermission) {
		return 0, 0, nil // a process that is not ours to look into
	}
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(data) {
		name, counters, found := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(counters)
		if !found || len(fields) < 9 || string(bytes.TrimSpace(name)) == "lo" {
			continue
		}
		received, err1 := strconv.ParseUint(string(fields[0]), 10, 64)
		sent, err2 := strconv.ParseUint(string(fields[8]), 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, fmt.Errorf("parsing /proc/net/dev: %w", err)
		}
		in, out = in+received, out+sent
	}
	return in, out, nil
}
