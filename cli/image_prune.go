package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type imagePruneOptions struct {
	all, force bool
	wanted     map[string][]string
}

func newImagePrune(p *program) *cobra.Command {
	var o imagePruneOptions
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove unused images",
		Example: `  skiff image prune -f                               those without a name
  skiff image prune -a -f --filter until=240h        all that no container was made from
  skiff image prune -a --filter label!=keep`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runImagePrune(cmd.Context(), e, p.streams, &o)
		},
	}
	known := []string{"dangling", "label", "label!", "until"}
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all", "a", false, "Remove all unused images, not just dangling ones")
	flags.Var(filters{&o.wanted, known}, "filter", `Provide filter values (e.g. "until=<timestamp>")`)
	flags.BoolVarP(&o.force, "force", "f", false, "Do not prompt for confirmation")
	p.completeFilter(cmd, known)
	return cmd
}

// check takes dangling=false for --all, which it is: left among the filters it would
// keep those without a name.
func (o *imagePruneOptions) check(cmd *cobra.Command) error {
	values := o.wanted["dangling"]
	delete(o.wanted, "dangling")
	for i, value := range values {
		dangling, err := strconv.ParseBool(value)
		if err != nil {
			return badFlag(cmd, fmt.Sprintf("invalid filter \"dangling=%s\": neither true nor false", value))
		}
		if dangling && o.all || i > 0 && dangling == o.all {
			return badFlag(cmd, "conflicting options: dangling images only, and all of them")
		}
		o.all = !dangling
	}
	return nil
}

func runImagePrune(ctx context.Context, e *run.Engine, s *streams, o *imagePruneOptions) error {
	warning := "WARNING! This will remove all dangling images."
	if o.all {
		warning = "WARNING! This will remove all images without at least one container associated to them."
	}
	if err := s.confirmPrune(ctx, o.wanted, o.force, "image prune", warning); err != nil {
		return err
	}
	deleted, freed, err := e.PruneImages(ctx, o.all, o.wanted)
	s.printDeletedImages(deleted)
	s.printReclaimed(freed)
	return err
}

func (s *streams) printDeletedImages(deleted []run.ImageDeleted) {
	var lines []string
	for _, d := range deleted {
		if d.Deleted != "" {
			lines = append(lines, "deleted: "+d.Deleted)
		} else {
			lines = append(lines, "untagged: "+d.Untagged)
		}
	}
	s.printDeleted("Images", lines)
}
