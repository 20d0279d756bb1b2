package cli

import (
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeDelete(f *runtimeFlags) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:               "delete [OPTIONS] CONTAINER",
		Short:             "Remove what create has made",
		Example:           `  skiff runtime delete --force test`,
		Args:              exactArgs(1),
		RunE:              f.does(func(r *ociruntime.Runtime, args []string) error { return r.Delete(args[0], force) }),
		ValidArgsFunction: f.completeContainers,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Kill a container that runs, and take none for removed")
	return cmd
}
