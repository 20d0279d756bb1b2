package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newNetworkConnect(p *program) *cobra.Command {
	var o run.NetworkConnectOptions
	cmd := &cobra.Command{
		Use:   "connect [OPTIONS] NETWORK CONTAINER",
		Short: "Connect a container to a network",
		Example: `  skiff network connect backend web
  skiff network connect --alias db --ip 10.77.0.9 lab postgres`,
		Args:              exactArgs(2),
		ValidArgsFunction: p.completeNetworkThenContainer(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Network, o.Container = args[0], args[1]
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkConnect(cmd.Context(), e, &o)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Place.Aliases, "alias", nil, "Add network-scoped alias for the container")
	flags.StringSliceVar(&o.DriverOpts, "driver-opt", nil, "driver options for the network")
	flags.IntVar(&o.Priority, "gw-priority", 0, "Highest gw-priority provides the default gateway. Accepts positive and negative values.")
	flags.StringVar(&o.Place.IPv4, "ip", "", `IPv4 address (e.g., "172.30.100.104")`)
	flags.StringVar(&o.Place.IPv6, "ip6", "", `IPv6 address (e.g., "2001:db8::33")`)
	listVar(flags, &o.Place.Links, "link", "", "Add link to another container")
	flags.StringSliceVar(&o.Place.LinkLocalIPs, "link-local-ip", nil, "Add a link-local address for the container")
	flags.StringVar(&o.Place.MAC, "mac-address", "", "MAC address of the container in the network")
	for _, name := range []string{"alias", "driver-opt", "gw-priority", "ip", "ip6", "link-local-ip", "mac-address"} {
		completeFlag(cmd, name)
	}
	must(cmd.RegisterFlagCompletionFunc("link", p.completeContainers(0)))
	return cmd
}

func runNetworkConnect(ctx context.Context, e *run.Engine, o *run.NetworkConnectOptions) error {
	return e.NetworkConnect(ctx, o)
}
