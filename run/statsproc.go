package run

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// fromProcesses adds up what the container's processes tell in /proc.
func (s *Sample) fromProcesses(state *store.State) error {
	pageSize := uint64(os.Getpagesize())
	for _, pid := range containerProcesses(state) {
		p, ok := readProcess(pid)
		if !ok {
			continue // it has ended
		}
		s.CPU += p.ticks * uint64(tick)
		s.Memory += p.pages * pageSize
		s.Pids += p.threads
		read, wrote := processIO(pid)
		s.BlockRead, s.BlockWritten = s.BlockRead+read, s.BlockWritten+wrote
	}
	return nil
}

// containerProcesses are the descendants of a container's shim, but for a server of
// its root file system. Those of a container on the host's PIDs are among them, as
// the shim takes its orphans.
func containerProcesses(state *store.State) (all []int) {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok && !(p.parent == state.Shim.PID && store.ServesRoot(pid, p.name, p.parent)) {
			children[p.parent] = append(children[p.parent], pid)
		}
	}
	var visit func(pid int)
	visit = func(pid int) {
		for _, child := range children[pid] {
			all = append(all, child)
			visit(child)
		}
	}
	visit(state.Shim.PID)
	return all
}

// process is what proc_pid_stat(5) tells.
type process struct {
	name    string
	parent  int
	ticks   uint64 // of processor time, with that of children who were waited for
	threads uint64
	pages   uint64 // resident
}

func readProcess(pid int) (p process, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, false
	}
	fields := strings.Fields(string(stat[end+1:])) // from field 3 on
	if len(fields) < 22 {
		return p, false
	}
	number := func(field int) uint64 {
		n, _ := strconv.ParseUint(fields[field-3], 10, 64)
		return n
	}
	p.name, p.parent = string(stat[open+1:end]), int(number(4))
	p.ticks = number(14) + number(15) + number(16) + number(17)
	p.threads, p.pages = number(20), number(24)
	return p, true
}

// processIO reads bytes that a process had from and gave to block devices
// (proc_pid_io(5)); nothing where it may not be looked into.
func processIO(pid int) (read, wrote uint64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, _ := strconv.ParseUint(value, 10, 64)
		switch key {
		case "read_bytes":
			read = n
		case "write_bytes":
			wrote = n
		}
	}
	return read, wrote
}
