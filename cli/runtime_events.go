package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeEvents(f *runtimeFlags) *cobra.Command {
	var once bool
	var interval time.Duration
	ctx := context.Background()
	cmd := &cobra.Command{
		Use:     "events [OPTIONS] CONTAINER",
		Short:   "Print what a container uses, and that it ran out of memory, as JSON",
		Example: `  skiff runtime events --stats test`,
		Args:    exactArgs(1),
		PreRun: func(cmd *cobra.Command, args []string) {
			ctx = cmd.Context()
		},
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			out := json.NewEncoder(f.p.data())
			if once {
				event, err := r.Stats(args[0])
				if err != nil {
					return err
				}
				return out.Encode(event)
			}
			return r.Watch(ctx, args[0], interval, func(e *ociruntime.Event) error { return out.Encode(e) })
		}),
		ValidArgsFunction: f.completeContainers,
	}
	cmd.Flags().BoolVar(&once, "stats", false, "Print what it uses now, once")
	cmd.Flags().DurationVar(&interval, "interval", 5*time.Second, "How often to print what it uses")
	return cmd
}
