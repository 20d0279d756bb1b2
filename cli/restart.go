package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newRestart(p *program) *cobra.Command {
	var o stopFlags
	var chosen selection
	var running bool
	cmd := &cobra.Command{
		Use:         "restart [OPTIONS] CONTAINER [CONTAINER...]",
		Short:       "Restart one or more containers",
		Annotations: aliases("skiff container restart, skiff restart"),
		Example: `  skiff restart web
  skiff restart -t 0 web     without waiting for it to end by itself
  skiff restart --running    all that run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if running && len(args) == 0 {
				return nil
			}
			return chosen.operands(cmd, args)
		},
		ValidArgsFunction: p.completeContainers(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			var fits func(*store.State) bool
			if running {
				fits, chosen.all = alive, chosen.all || len(args) == 0
			}
			names, err := chosen.names(cmd.Context(), e, args, fits)
			if err != nil {
				return err
			}
			return runRestart(cmd.Context(), e, p.streams, names, o.options())
		},
	}
	o.add(cmd)
	chosen.addAll(cmd, "a", "Restart all containers, whether they run or not")
	chosen.addCIDFile(cmd)
	chosen.addFilter(p, cmd, "f")
	chosen.addLatest(cmd, "l")
	cmd.Flags().BoolVar(&running, "running", false, "Restart only running containers")
	return cmd
}

func runRestart(ctx context.Context, e *run.Engine, s *streams, refs []string, o run.StopOptions) error {
	return each(s.data(), refs, func(ref string) (string, error) {
		return ref, e.Restart(ctx, ref, o)
	})
}
