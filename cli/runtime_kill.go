package cli

import (
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeKill(f *runtimeFlags) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "kill [OPTIONS] CONTAINER [SIGNAL]",
		Short:   "Send a signal to the first process of a container",
		Example: `  skiff runtime kill test KILL`,
		Args:    rangeArgs(1, 2),
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			name := "TERM"
			if len(args) > 1 {
				name = args[1]
			}
			signal, err := ociruntime.ParseSignal(name)
			if err != nil {
				return err
			}
			return r.Kill(args[0], signal, all)
		}),
		ValidArgsFunction: f.completeContainers,
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Send it to all processes of the container")
	return cmd
}
