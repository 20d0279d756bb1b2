package cli

import (
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimePause(f *runtimeFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "pause CONTAINER",
		Short:             "Freeze all processes of a container",
		Example:           `  skiff runtime pause test`,
		Args:              exactArgs(1),
		RunE:              f.does(func(r *ociruntime.Runtime, args []string) error { return r.Pause(args[0]) }),
		ValidArgsFunction: f.completeContainers,
	}
}

func newRuntimeResume(f *runtimeFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "resume CONTAINER",
		Short:             "Let a paused container go on",
		Example:           `  skiff runtime resume test`,
		Args:              exactArgs(1),
		RunE:              f.does(func(r *ociruntime.Runtime, args []string) error { return r.Resume(args[0]) }),
		ValidArgsFunction: f.completeContainers,
	}
}
