package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newContainerPrune(p *program) *cobra.Command {
	var wanted map[string][]string
	var force bool
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove all stopped containers",
		Example: `  skiff container prune -f
  skiff container prune -f --filter until=24h --filter label!=keep`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runContainerPrune(cmd.Context(), e, p.streams, wanted, force)
		},
	}
	known := []string{"label", "label!", "until"}
	cmd.Flags().Var(filters{&wanted, known}, "filter", `Provide filter values (e.g. "until=<timestamp>")`)
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not prompt for confirmation")
	p.completeFilter(cmd, known)
	return cmd
}

func runContainerPrune(ctx context.Context, e *run.Engine, s *streams, wanted map[string][]string, force bool) error {
	if err := s.confirmPrune(ctx, wanted, force, "container prune", "WARNING! This will remove all stopped containers."); err != nil {
		return err
	}
	removed, bytes, err := e.Prune(ctx, wanted)
	s.printDeleted("Containers", removed)
	s.printReclaimed(bytes)
	return err
}

// confirmPrune asks, unless that is forced; no is an error in Docker's words. A time in
// the filters that is none is told before anything is asked or removed.
func (s *streams) confirmPrune(ctx context.Context, wanted map[string][]string, force bool, what, warning string) error {
	for _, until := range wanted["until"] {
		if _, err := run.ParseTime(until, time.Now()); err != nil {
			return fmt.Errorf("invalid filter %q: %w", "until="+until, err)
		}
	}
	if force {
		return nil
	}
	yes, err := s.confirm(ctx, warning+"\nAre you sure you want to continue? [y/N] ")
	if err == nil && !yes {
		err = errors.New(what + " has been cancelled")
	}
	return err
}

func (s *streams) printDeleted(what string, names []string) {
	if len(names) > 0 {
		fmt.Fprintf(s.data(), "Deleted %s:\n%s\n\n", what, strings.Join(names, "\n"))
	}
}

func (s *streams) printReclaimed(bytes int64) {
	fmt.Fprintln(s.data(), "Total reclaimed space:", units.HumanSize(float64(bytes)))
}
