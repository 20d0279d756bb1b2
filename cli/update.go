package cli

import (
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newUpdate(p *program) *cobra.Command {
	var o run.UpdateOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "update [OPTIONS] CONTAINER [CONTAINER...]",
		Short:       "Update configuration of one or more containers",
		Annotations: aliases("skiff container update, skiff update"),
		Example: `  skiff update --memory 512m --memory-swap 1g web
  skiff update --cpus 1.5 --pids-limit 200 web
  skiff update --restart unless-stopped web db`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := false
			cmd.Flags().Visit(func(f *pflag.Flag) { changed = changed || f.Name != "latest" })
			if !changed {
				return errors.New("you must provide one or more flags when using this command")
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			names, err := chosen.names(cmd.Context(), e, args, nil)
			if err != nil {
				return err
			}
			return each(p.data(), names, func(ref string) (string, error) { return ref, e.Update(cmd.Context(), ref, &o) })
		},
	}
	flags := cmd.Flags()
	addChangeableLimits(flags, &o.LimitOptions)
	for name, usage := range map[string]string{ // docker says these otherwise here
		"cpu-rt-period": "Limit the CPU real-time period in microseconds", "cpu-rt-runtime": "Limit the CPU real-time runtime in microseconds",
		"memory-swap": "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
	} {
		flags.Lookup(name).Usage = usage
	}
	addDeviceLimits(flags, &o.LimitOptions)
	flags.Var(swappiness{}, "memory-swappiness", "Tune container memory swappiness (0 to 100)")
	for _, name := range []string{"blkio-weight-device", "device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops", "memory-swappiness"} {
		flags.Lookup(name).Hidden = true // podman's
	}
	flags.StringVar(&o.Restart, "restart", "", "Restart policy to apply when a container exits")
	chosen.addLatest(cmd, "l")
	completeLimits(cmd)
	completeFlag(cmd, "restart", "always", "no", "on-failure", "on-failure:", "unless-stopped")
	completeRefused(cmd)
	return cmd
}
