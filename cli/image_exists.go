package cli

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newImageExists(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "exists IMAGE",
		Short:             "Tell by the exit code whether an image is in the store: 0 or 1",
		Example:           `  skiff image exists alpine || skiff pull alpine`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeImages(),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return launching(codeSkiff, err)
			}
			return runImageExists(cmd.Context(), e, args[0])
		},
	}
}

// runImageExists ends with 1 where there is none, and with 125 where that cannot be told.
func runImageExists(ctx context.Context, e *run.Engine, ref string) error {
	_, err := e.InspectImage(ctx, ref)
	if errors.Is(err, store.ErrNoImage) {
		return exitStatus(1)
	}
	return launching(codeSkiff, err)
}
