package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRuntimeUpdate(f *runtimeFlags) *cobra.Command {
	var u runtimeUpdate
	cmd := &cobra.Command{
		Use:   "update [OPTIONS] CONTAINER",
		Short: "Change the limits of a container",
		Example: `  skiff runtime update --memory 512m --pids-limit 100 test
  echo '{"cpu":{"quota":50000}}' | skiff runtime update --resources - test`,
		Args:              exactArgs(1),
		ValidArgsFunction: f.completeContainers,
	}
	cmd.RunE = f.does(func(r *ociruntime.Runtime, args []string) error {
		return r.Update(args[0], func(resources *specs.LinuxResources) error { return u.apply(cmd.Flags(), f.p.In, resources) })
	})
	u.add(cmd.Flags())
	return cmd
}

// runtimeUpdate are the limits that may be given one by one, as runc has them.
type runtimeUpdate struct {
	resources                             string
	memory, reservation, swap             string
	quota, realtimeRuntime, pids          int64
	period, shares, realtimePeriod, burst uint64
	idle                                  int64
	weight                                uint16
	cpus, mems                            string
}

func (u *runtimeUpdate) add(flags *pflag.FlagSet) {
	flags.StringVarP(&u.resources, "resources", "r", "", `File with a "resources" object of the runtime spec, - for stdin`)
	flags.Uint16Var(&u.weight, "blkio-weight", 0, "Weight of block I/O")
	flags.Uint64Var(&u.period, "cpu-period", 0, "Period of the CPU quota, in microseconds")
	flags.Int64Var(&u.quota, "cpu-quota", 0, "CPU time in a period, in microseconds")
	flags.Uint64Var(&u.burst, "cpu-burst", 0, "CPU time saved up beyond the quota, in microseconds")
	flags.Uint64Var(&u.shares, "cpu-share", 0, "Share of CPU time")
	flags.Uint64Var(&u.realtimePeriod, "cpu-rt-period", 0, "Period of real-time scheduling, in microseconds")
	flags.Int64Var(&u.realtimeRuntime, "cpu-rt-runtime", 0, "Real-time CPU time in a period, in microseconds")
	flags.StringVar(&u.cpus, "cpuset-cpus", "", "CPUs to use")
	flags.StringVar(&u.mems, "cpuset-mems", "", "Memory nodes to use")
	flags.StringVar(&u.memory, "memory", "", "Limit of memory")
	flags.StringVar(&u.reservation, "memory-reservation", "", "Soft limit of memory")
	flags.StringVar(&u.swap, "memory-swap", "", "Limit of memory and swap together, -1 for unlimited swap")
	flags.Int64Var(&u.pids, "pids-limit", 0, "Limit of processes")
	flags.Int64Var(&u.idle, "cpu-idle", 0, "1 runs the container only when nothing else wants the CPU")
}

func (u *runtimeUpdate) apply(flags *pflag.FlagSet, stdin io.Reader, r *specs.LinuxResources) error {
	if u.resources != "" {
		if err := readResources(u.resources, stdin, r); err != nil {
			return err
		}
	}
	if r.CPU == nil {
		r.CPU = new(specs.LinuxCPU)
	}
	if r.Memory == nil {
		r.Memory = new(specs.LinuxMemory)
	}
	given := flags.Changed
	set(given("cpu-period"), &r.CPU.Period, u.period)
	set(given("cpu-quota"), &r.CPU.Quota, u.quota)
	set(given("cpu-burst"), &r.CPU.Burst, u.burst)
	set(given("cpu-share"), &r.CPU.Shares, u.shares)
	set(given("cpu-rt-period"), &r.CPU.RealtimePeriod, u.realtimePeriod)
	set(given("cpu-rt-runtime"), &r.CPU.RealtimeRuntime, u.realtimeRuntime)
	set(given("cpu-idle"), &r.CPU.Idle, u.idle)
	if given("cpuset-cpus") {
		r.CPU.Cpus = u.cpus
	}
	if given("cpuset-mems") {
		r.CPU.Mems = u.mems
	}
	if given("blkio-weight") {
		if r.BlockIO == nil {
			r.BlockIO = new(specs.LinuxBlockIO)
		}
		r.BlockIO.Weight = &u.weight
	}
	if given("pids-limit") {
		r.Pids = &specs.LinuxPids{Limit: &u.pids}
	}
	for _, m := range []struct {
		text string
		to   **int64
	}{{u.memory, &r.Memory.Limit}, {u.reservation, &r.Memory.Reservation}, {u.swap, &r.Memory.Swap}} {
		if m.text == "" {
			continue
		}
		bytes := int64(-1)
		if m.text != "-1" {
			var err error
			if bytes, err = units.RAMInBytes(m.text); err != nil {
				return fmt.Errorf("invalid amount of memory %q: %w", m.text, err)
			}
		}
		*m.to = &bytes
	}
	return nil
}

func set[T any](given bool, to **T, value T) {
	if given {
		*to = &value
	}
}

// readResources reads an object over what there is: fields that it does not name stay.
func readResources(name string, stdin io.Reader, r *specs.LinuxResources) error {
	from := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("reading resources: %w", err)
		}
		defer file.Close()
		from = file
	}
	if err := json.NewDecoder(io.LimitReader(from, 16<<20)).Decode(r); err != nil {
		return fmt.Errorf("parsing resources: %w", err)
	}
	return nil
}
