package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newNetworkDisconnect(p *program) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:               "disconnect [OPTIONS] NETWORK CONTAINER",
		Short:             "Disconnect a container from a network",
		Example:           `  skiff network disconnect backend web`,
		Args:              exactArgs(2),
		ValidArgsFunction: p.completeNetworkThenContainer(),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkDisconnect(cmd.Context(), e, args[0], args[1], force)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Force the container to disconnect from a network")
	return cmd
}

func runNetworkDisconnect(ctx context.Context, e *run.Engine, network, container string, force bool) error {
	return e.NetworkDisconnect(ctx, network, container, force)
}
