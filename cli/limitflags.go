package cli

import (
	"errors"
	"strconv"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addLimits: what the container may use of the host.
func (c *containerFlags) addLimits(flags *pflag.FlagSet) {
	o := &c.LimitOptions
	addChangeableLimits(flags, o)
	addDeviceLimits(flags, o)
	flags.StringVar(&o.CgroupParent, "cgroup-parent", "", "Optional parent cgroup for the container")
	flags.Var(namedList{list{&o.CgroupConf}, "strings"}, "cgroup-conf", "Configure cgroup v2 (key=value)")
	flags.BoolVar(&o.StrictLimits, "strict-limits", false, "Refuse to start where a limit cannot be set")
	flags.Var(swappiness{}, "memory-swappiness", "Tune container memory swappiness (0 to 100)")
	refuse(flags, refusal{"oom-kill-disable", "bool", "with cgroup v2 no process waits for memory for ever",
		"use --memory-reservation to protect its memory, or --oom-score-adj to have others ended first"}, "Disable OOM Killer")
}

// addDeviceLimits: what it may read from and write to single disks.
func addDeviceLimits(flags *pflag.FlagSet, o *run.LimitOptions) {
	listVar(flags, &o.BlkioWeightDevice, "blkio-weight-device", "", "Block IO weight (relative device weight)")
	listVar(flags, &o.DeviceReadBps, "device-read-bps", "", "Limit read rate (bytes per second) from a device")
	listVar(flags, &o.DeviceReadIOps, "device-read-iops", "", "Limit read rate (IO per second) from a device")
	listVar(flags, &o.DeviceWriteBps, "device-write-bps", "", "Limit write rate (bytes per second) to a device")
	listVar(flags, &o.DeviceWriteIOps, "device-write-iops", "", "Limit write rate (IO per second) to a device")
}

// addChangeableLimits are those that update takes as well.
func addChangeableLimits(flags *pflag.FlagSet, o *run.LimitOptions) {
	flags.Uint16Var(&o.BlkioWeight, "blkio-weight", 0, "Block IO (relative weight), between 10 and 1000, or 0 to disable")
	flags.Int64Var(&o.CPUPeriod, "cpu-period", 0, "Limit CPU CFS (Completely Fair Scheduler) period")
	flags.Int64Var(&o.CPUQuota, "cpu-quota", 0, "Limit CPU CFS (Completely Fair Scheduler) quota")
	for name, usage := range map[string]string{"cpu-rt-period": "Limit CPU real-time period in microseconds", "cpu-rt-runtime": "Limit CPU real-time runtime in microseconds"} {
		refuse(flags, refusal{name, "int", "cgroup v2 does not share out real-time scheduling", "use --cpus or --cpu-shares"}, usage)
	}
	flags.Int64VarP(&o.CPUShares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	flags.Var(named{&o.CPUs, "decimal"}, "cpus", "Number of CPUs")
	flags.StringVar(&o.CpusetCpus, "cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)")
	flags.StringVar(&o.CpusetMems, "cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)")
	flags.VarP(named{&o.Memory, "bytes"}, "memory", "m", "Memory limit")
	flags.Var(named{&o.MemoryReservation, "bytes"}, "memory-reservation", "Memory soft limit")
	flags.Var(named{&o.MemorySwap, "bytes"}, "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap")
	flags.Var(optionalInt{&o.PidsLimit}, "pids-limit", "Tune container pids limit (set -1 for unlimited)")
}

func completeLimits(cmd *cobra.Command) {
	for _, name := range []string{"blkio-weight", "blkio-weight-device", "cpu-period", "cpu-quota", "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems",
		"memory", "memory-reservation", "memory-swap", "memory-swappiness", "pids-limit", "cgroup-parent", "cgroup-conf"} {
		if cmd.Flags().Lookup(name) != nil {
			completeFlag(cmd, name)
		}
	}
	for _, name := range []string{"device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops"} {
		if cmd.Flags().Lookup(name) != nil {
			completeFlag(cmd, name, "/dev/")
		}
	}
}

// swappiness is --memory-swappiness, whose default alone can be had.
type swappiness struct{}

func (swappiness) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return errors.New("not a whole number")
	}
	if n == -1 {
		return nil
	}
	return &refusedFlag{refusal{"memory-swappiness", "int", "with cgroup v2 the whole host has one swappiness", "use --memory-swap to bound the container's swap"}}
}
func (swappiness) Type() string   { return "int" }
func (swappiness) String() string { return "" }
