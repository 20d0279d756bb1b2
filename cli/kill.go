package cli

import (
	"context"

	"github.com/skiff-containers/skiff/completions"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newKill(p *program) *cobra.Command {
	var signal string
	var chosen selection
	cmd := &cobra.Command{
		Use:         "kill [OPTIONS] CONTAINER [CONTAINER...]",
		Short:       "Kill one or more running containers",
		Annotations: aliases("skiff container kill, skiff kill"),
		Example: `  skiff kill web
  skiff kill -s HUP web     have it read its configuration again`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0, store.Running),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			names, err := chosen.names(cmd.Context(), e, args, alive)
			if err != nil {
				return err
			}
			return runKill(cmd.Context(), e, p.streams, names, signal)
		},
	}
	cmd.Flags().StringVarP(&signal, "signal", "s", "", "Signal to send to the container")
	completeFlagBy(cmd, "signal", completions.Signals)
	chosen.addAll(cmd, "a", "Signal all running containers")
	chosen.addCIDFile(cmd)
	chosen.addLatest(cmd, "l")
	return cmd
}

func runKill(ctx context.Context, e *run.Engine, s *streams, refs []string, signal string) error {
	if signal == "" {
		signal = "KILL"
	}
	return each(s.data(), refs, func(ref string) (string, error) {
		return ref, e.Kill(ctx, ref, signal)
	})
}
