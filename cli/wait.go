package cli

import (
	"context"
	"strconv"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newWait(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "wait CONTAINER [CONTAINER...]",
		Short:             "Block until one or more containers stop, then print their exit codes",
		Annotations:       aliases("skiff container wait, skiff wait"),
		Example:           `  test "$(skiff wait job)" = 0 && echo it went well`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeContainers(0, store.Running, store.Created),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runWait(cmd.Context(), e, p.streams, args)
		},
	}
}

func runWait(ctx context.Context, e *run.Engine, s *streams, refs []string) error {
	return each(s.data(), refs, func(ref string) (string, error) {
		code, err := e.Wait(ctx, ref, "not-running")
		return strconv.Itoa(code), err
	})
}
