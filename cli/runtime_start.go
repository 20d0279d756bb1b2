package cli

import (
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeStart(f *runtimeFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "start CONTAINER",
		Short:             "Start the process of a created container",
		Example:           `  skiff runtime start test`,
		Args:              exactArgs(1),
		RunE:              f.does(func(r *ociruntime.Runtime, args []string) error { return r.Start(args[0]) }),
		ValidArgsFunction: f.completeContainers,
	}
}
