package cli

import (
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newContainerExists(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "exists CONTAINER",
		Short:             "Tell by the exit code whether a container exists: 0 or 1",
		Example:           `  skiff container exists web || skiff run -d --name web caddy`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeContainers(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return launching(codeSkiff, err)
			}
			return runContainerExists(e, args[0])
		},
	}
}

// runContainerExists ends with 1 where there is none, and with 125 where that cannot be told.
func runContainerExists(e *run.Engine, ref string) error {
	_, err := e.Store.Find(ref)
	if errors.Is(err, store.ErrNoContainer) {
		return exitStatus(1)
	}
	return launching(codeSkiff, err)
}
