package cli

import (
	"encoding/json"
	"fmt"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeState(f *runtimeFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "state CONTAINER",
		Short:   "Print the state of a container as JSON",
		Example: `  skiff runtime state test`,
		Args:    exactArgs(1),
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			c, err := r.Open(args[0])
			if err != nil {
				return err
			}
			s, err := c.State()
			if err != nil {
				return err
			}
			return f.printJSON(s)
		}),
		ValidArgsFunction: f.completeContainers,
	}
}

// printJSON prints an object for people and programs.
func (f *runtimeFlags) printJSON(v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f.p.data(), "%s\n", data)
	return err
}
