package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newRestart(p *program) *cobra.Command {
	var o stopFlags
	cmd := &cobra.Command{
		Use:         "restart [OPTIONS] CONTAINER [CONTAINER...]",
		Short:       "Restart one or more containers",
		Annotations: aliases("skiff container restart, skiff restart"),
		Example: `  skiff restart web
  skiff restart -t 0 web     without waiting for it to end by itself`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeContainers(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runRestart(cmd.Context(), e, p.streams, args, o.options())
		},
	}
	o.add(cmd)
	return cmd
}

func runRestart(ctx context.Context, e *run.Engine, s *streams, refs []string, o run.StopOptions) error {
	return each(s.data(), refs, func(ref string) (string, error) {
		return ref, e.Restart(ctx, ref, o)
	})
}
