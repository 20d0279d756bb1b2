package cli

import (
	"context"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newHealthcheck(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "healthcheck",
		Short:             "Manage health checks on containers",
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(newHealthcheckRun(p))
	return cmd
}

func newHealthcheckRun(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "run CONTAINER",
		Short: "Run the health check of a container",
		Long: `Run the health check of a running container now, and take its result into account.
Exits with 0 where it passed, with 1 where it did not, and with 125 where it could not be run.`,
		Annotations:       aliases("skiff healthcheck run"),
		Example:           `  skiff healthcheck run web && echo it is well`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeContainers(1, store.Running),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return launching(codeSkiff, err)
			}
			return runHealthcheck(cmd.Context(), e, p.streams, args[0])
		},
	}
}

func runHealthcheck(ctx context.Context, e *run.Engine, s *streams, ref string) error {
	passed, status, err := e.CheckHealth(ctx, ref)
	if err != nil {
		return launching(codeSkiff, err)
	}
	if passed {
		return nil
	}
	fmt.Fprintln(s.data(), status)
	return outcome(codeFailed)
}
