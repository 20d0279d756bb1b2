package cli

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type systemPruneOptions struct {
	all, force bool
	wanted     map[string][]string
}

func newSystemPrune(p *program) *cobra.Command {
	var o systemPruneOptions
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove unused data",
		Example: `  skiff system prune -f
  skiff system prune -a -f --filter until=240h`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runSystemPrune(cmd.Context(), e, p.streams, &o)
		},
	}
	known := []string{"label", "label!", "until"}
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all", "a", false, "Remove all unused images not just dangling ones")
	flags.Var(filters{&o.wanted, known}, "filter", `Provide filter values (e.g. "label=<key>=<value>")`)
	flags.BoolVarP(&o.force, "force", "f", false, "Do not prompt for confirmation")
	refuse(flags, refusal{name: "volumes", kind: "bool", why: "there are no volumes yet that could be pruned"}, "Prune anonymous volumes")
	p.completeFilter(cmd, known)
	return cmd
}

func runSystemPrune(ctx context.Context, e *run.Engine, s *streams, o *systemPruneOptions) error {
	images := "  - all dangling images\n"
	if o.all {
		images = "  - all images without at least one container associated to them\n"
	}
	warning := "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n" + images
	if err := s.confirmPrune(ctx, o.wanted, o.force, "system prune", warning); err != nil {
		return err
	}
	containers, written, failed := e.Prune(ctx, o.wanted)
	s.printDeleted("Containers", containers)
	networks, err := e.NetworkPrune(ctx, o.wanted)
	failed = errors.Join(failed, err)
	s.printDeleted("Networks", networks)
	deleted, freed, err := e.PruneImages(ctx, o.all, o.wanted)
	failed = errors.Join(failed, err)
	s.printDeletedImages(deleted)
	s.printReclaimed(written + freed)
	return failed
}
