package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newNetworkExists(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "exists NETWORK",
		Short:             "Tell by the exit code whether a network exists: 0 or 1",
		Example:           `  skiff network exists backend || skiff network create backend`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeNetworks(1, true),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkExists(cmd.Context(), e, args[0])
		},
	}
}

func runNetworkExists(ctx context.Context, e *run.Engine, ref string) error {
	there, err := e.NetworkExists(ctx, ref)
	if err == nil && !there {
		err = exitStatus(1)
	}
	return err
}
