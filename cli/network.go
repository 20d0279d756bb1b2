package cli

import "github.com/spf13/cobra"

func newNetwork(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "network",
		Short:             "Manage networks",
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(
		newNetworkCheck(p), newNetworkConnect(p), newNetworkCreate(p), newNetworkDisconnect(p), newNetworkExists(p),
		newNetworkInspect(p), newNetworkLs(p), newNetworkPrune(p), newNetworkRm(p),
	)
	return cmd
}
