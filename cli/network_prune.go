package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newNetworkPrune(p *program) *cobra.Command {
	var wanted map[string][]string
	var force bool
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove all unused networks",
		Example: `  skiff network prune -f
  skiff network prune -f --filter until=24h --filter label=ci`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkPrune(cmd.Context(), e, p.streams, wanted, force)
		},
	}
	known := []string{"label", "label!", "until"}
	cmd.Flags().Var(filters{&wanted, known}, "filter", `Provide filter values (e.g. "until=<timestamp>")`)
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not prompt for confirmation")
	p.completeFilter(cmd, known)
	return cmd
}

func runNetworkPrune(ctx context.Context, e *run.Engine, s *streams, wanted map[string][]string, force bool) error {
	if err := s.confirmPrune(ctx, wanted, force, "network prune", "WARNING! This will remove all custom networks not used by at least one container."); err != nil {
		return err
	}
	removed, err := e.NetworkPrune(ctx, wanted)
	s.printDeleted("Networks", removed)
	return err
}
