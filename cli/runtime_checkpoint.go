package cli

import (
	"errors"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

// errNoCheckpoint is what checkpoint and restore say: programs that call a runtime ask
// for them by name, so they are there.
var errNoCheckpoint = errors.New("checkpoint and restore are not supported: they need CRIU, and root")

func newRuntimeCheckpoint(f *runtimeFlags) *cobra.Command {
	return newRuntimeRefused(f, "checkpoint CONTAINER", "Not supported: save a running container")
}

func newRuntimeRestore(f *runtimeFlags) *cobra.Command {
	return newRuntimeRefused(f, "restore CONTAINER", "Not supported: bring a saved container back")
}

func newRuntimeRefused(f *runtimeFlags, use, short string) *cobra.Command {
	return &cobra.Command{
		Use:                use,
		Short:              short,
		Example:            "  skiff runtime " + use,
		Args:               cobra.ArbitraryArgs,
		DisableFlagParsing: true, // whatever is asked for, the answer is the same
		RunE:               f.does(func(*ociruntime.Runtime, []string) error { return errNoCheckpoint }),
		ValidArgsFunction:  cobra.NoFileCompletions,
	}
}
