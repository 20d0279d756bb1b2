package run

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// checkResources refuses what makes no sense, in Docker's words and order.
func checkResources(r *store.Resources) error {
	switch {
	case r.Memory > 0 && r.Memory < minMemory:
		return errors.New("minimum memory limit allowed is 6MB")
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return errors.New("minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory == 0 && r.MemorySwap > 0:
		return errors.New("you should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return errors.New("minimum memory reservation allowed is 6MB")
	case r.Memory > 0 && r.MemoryReservation > 0 && r.Memory < r.MemoryReservation:
		return errors.New("minimum memory limit can not be less than memory reservation limit, see usage")
	case r.NanoCpus > 0 && r.CpuPeriod > 0:
		return errors.New("conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCpus > 0 && r.CpuQuota > 0:
		return errors.New("conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.CpuShares < 0:
		return fmt.Errorf("invalid CPU shares (%d): value must be a positive integer", r.CpuShares)
	case r.CpuPeriod != 0 && (r.CpuPeriod < 1000 || r.CpuPeriod > 1000000):
		return errors.New("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CpuQuota > 0 && r.CpuQuota < 1000:
		return errors.New("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case r.BlkioWeight > 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000):
		return errors.New("range of blkio weight is from 10 to 1000")
	}
	return checkProcessors(r)
}

// checkProcessors compares with what the host has.
func checkProcessors(r *store.Resources) error {
	if r.NanoCpus != 0 {
		online := onlineCPUs()
		if r.NanoCpus < 1e7 || r.NanoCpus > int64(online)*1e9 {
			return fmt.Errorf("range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", online, online)
		}
	}
	for _, c := range []struct{ asked, what, file, none string }{
		{r.CpusetCpus, "CPUs", "/sys/devices/system/cpu/online", ""},
		{r.CpusetMems, "memory nodes", "/sys/devices/system/node/online", "0"},
	} {
		if c.asked == "" {
			continue
		}
		asked, err := parseRanges(c.asked)
		if err != nil {
			return fmt.Errorf("invalid value %s for cpuset: %w", c.asked, err)
		}
		there := online(c.file, c.none)
		has, err := parseRanges(there)
		if err != nil {
			return fmt.Errorf("parsing %s: %w", c.file, err)
		}
		for n := range asked {
			if !has[n] {
				return fmt.Errorf("requested %s are not available - requested %s, available: %s", c.what, c.asked, there)
			}
		}
	}
	return nil
}

// online reads a list of what the host has, such as "0-3".
func online(file, none string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return none
	}
	return strings.TrimSpace(string(data))
}

func onlineCPUs() int {
	cpus, err := parseRanges(online("/sys/devices/system/cpu/online", "0"))
	if err != nil {
		return 1
	}
	return len(cpus)
}

// maxRange bounds a processor's number: no kernel is built for more.
const maxRange = 8192

// parseRanges reads the kernel's lists of numbers: "0-3,5".
func parseRanges(text string) (map[int]bool, error) {
	all := map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 0 || to < from || to > maxRange {
			return nil, fmt.Errorf("%q is no range of numbers", part)
		}
		for n := from; n <= to; n++ {
			all[n] = true
		}
	}
	return all, nil
}
