package cli

import (
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeFeatures(f *runtimeFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "features",
		Short:   "Print what this runtime can do as JSON",
		Example: `  skiff runtime features`,
		Args:    noArgs,
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			return f.printJSON(ociruntime.Features())
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}
