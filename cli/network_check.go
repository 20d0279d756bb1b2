package cli

import (
	"context"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newNetworkCheck(p *program) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "check [OPTIONS]",
		Short: "Compare what networks should be with what they are",
		Long: `Compare what networks should be with what they are: addresses leased to nobody, containers
that are not where they should be, interfaces and ports left behind, routes of this host
that a network covers. A finding a line, and exit code 1, where there is one left.`,
		Example: `  skiff network check
  skiff network check --repair`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkCheck(cmd.Context(), e, p.streams, repair)
		},
	}
	cmd.Flags().BoolVarP(&repair, "repair", "r", false, "Mend what can be mended without touching a container")
	return cmd
}

func runNetworkCheck(ctx context.Context, e *run.Engine, s *streams, repair bool) error {
	findings, err := e.NetworkCheck(ctx, repair)
	for _, f := range findings {
		text := f.Text
		if f.Mended {
			text += " (mended)"
		} else if err == nil {
			err = exitStatus(1)
		}
		fmt.Fprintln(s.data(), text)
	}
	return err
}
