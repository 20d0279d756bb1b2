package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newRmi(p *program) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:         "rmi [OPTIONS] IMAGE [IMAGE...]",
		Short:       "Remove one or more images",
		Annotations: aliases("skiff image rm, skiff image remove, skiff rmi"),
		Example: `  skiff rmi alpine
  skiff rmi $(skiff images -q -f dangling=true)`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeImages(),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runRmi(cmd.Context(), e, p.streams, args, force)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Force removal of the image")
	return cmd
}

// runRmi goes through the operands one by one, as removing one decides what is
// left of the layers of the next.
func runRmi(ctx context.Context, e *run.Engine, s *streams, refs []string, force bool) error {
	var failed []error
	for _, ref := range refs {
		steps, err := e.RemoveImage(ctx, ref, force)
		for _, step := range steps {
			if step.Untagged != "" {
				fmt.Fprintln(s.data(), "Untagged:", step.Untagged)
			}
			if step.Deleted != "" {
				fmt.Fprintln(s.data(), "Deleted:", step.Deleted)
			}
		}
		if force && errors.Is(err, store.ErrNoImage) {
			s.note(err.Error())
			continue
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
