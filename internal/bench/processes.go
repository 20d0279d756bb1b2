package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is one of this user's.
type process struct {
	pid   int
	argv  []string
	began time.Duration // since boot
}

func (p process) is(name string) bool { return filepath.Base(p.argv[0]) == name }

// tick is the unit of times in /proc/PID/stat and /proc/stat: USER_HZ is 100 on all
// architectures that skiff runs on.
const tick = 10 * time.Millisecond

// processes lists those of this user that have arguments.
func processes() (all []process, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// One that ends meanwhile is none.
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(line) == 0 {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The name, in brackets, may hold anything; starttime is field 22 (proc_pid_stat(5)).
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 20 {
			continue
		}
		ticks, err := strconv.ParseInt(fields[19], 10, 64)
		if err != nil || !ours(pid) {
			continue
		}
		all = append(all, process{pid, strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"), time.Duration(ticks) * tick})
	}
	return all, nil
}

// ours reads the real user id: the folder of a process that is not dumpable is root's.
func ours(pid int) bool {
	fields := strings.Fields(status(pid, "Uid:"))
	return len(fields) > 0 && fields[0] == strconv.Itoa(os.Getuid())
}

// status is a line of /proc/PID/status without its name; empty where there is none.
func status(pid int, name string) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// resident is a process's VmRSS in MB, which unlike its Pss everybody may read.
func resident(pid int) (float64, error) {
	kb, err := strconv.ParseFloat(strings.TrimSuffix(status(pid, "VmRSS:"), " kB"), 64)
	return kb / 1024, err
}

// sinceBoot is the clock of starttime.
func sinceBoot() (time.Duration, error) {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(data))[0], 64)
	return time.Duration(seconds * float64(time.Second)), err
}

// busy is how long all CPUs together have worked since boot, in user space, the kernel
// and its interrupts: what a transfer costs, whoever does it.
func busy() (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal …
	if len(fields) < 8 {
		return 0, fmt.Errorf("reading /proc/stat: %q", line)
	}
	sum := int64(0)
	for i, field := range fields[1:8] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		if i != 3 && i != 4 { // idle, iowait
			sum += n
		}
	}
	return time.Duration(sum) * tick, nil
}
