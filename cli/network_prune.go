package cli

import (
	"context"
	"fmt"
	"strings"

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
	if !force {
		yes, err := s.confirm(ctx, "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue? [y/N] ")
		if err != nil {
			return err
		}
		if !yes {
			return fmt.Errorf("network prune has been cancelled")
		}
	}
	removed, err := e.NetworkPrune(ctx, wanted)
	if len(removed) > 0 {
		fmt.Fprintf(s.data(), "Deleted Networks:\n%s\n\n", strings.Join(removed, "\n"))
	}
	return err
}
