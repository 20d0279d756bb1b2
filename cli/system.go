package cli

import "github.com/spf13/cobra"

func newSystem(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "system",
		Short:             "Manage skiff",
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(newSystemDf(p), newEvents(p), newInfo(p), newSystemPrune(p))
	return cmd
}
