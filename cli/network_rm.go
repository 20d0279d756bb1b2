package cli

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newNetworkRm(p *program) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:         "rm NETWORK [NETWORK...]",
		Aliases:     []string{"remove"},
		Short:       "Remove one or more networks",
		Annotations: aliases("skiff network rm, skiff network remove"),
		Example: `  skiff network rm backend
  skiff network rm -f backend      also while containers are in it`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeNetworks(0, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkRm(cmd.Context(), e, p.streams, args, force)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Disconnect containers first, and do not error if the network does not exist")
	return cmd
}

// runNetworkRm removes networks in the order given: one may lie on the next.
func runNetworkRm(ctx context.Context, e *run.Engine, s *streams, refs []string, force bool) error {
	return inTurn(s.data(), refs, func(ref string) (string, error) {
		err := e.NetworkRemove(ctx, ref, force)
		if force && errors.Is(err, store.ErrNoNetwork) {
			return "", nil
		}
		return ref, err
	})
}
