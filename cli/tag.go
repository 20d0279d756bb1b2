package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newTag(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		Short:             "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
		Annotations:       aliases("skiff image tag, skiff tag"),
		Example:           `  skiff tag alpine registry.lan:5000/base:1`,
		Args:              exactArgs(2),
		ValidArgsFunction: p.completeImage(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runTag(cmd.Context(), e, args[0], args[1])
		},
	}
}

func runTag(ctx context.Context, e *run.Engine, source, target string) error {
	return e.Tag(ctx, source, target)
}
