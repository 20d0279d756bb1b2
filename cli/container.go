package cli

import "github.com/spf13/cobra"

func newContainer(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "container",
		Short:             "Manage containers",
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(
		newAttach(p),
		newCp(p),
		newCreate(p),
		newDiff(p),
		newExec(p),
		newExport(p),
		newContainerInspect(p),
		newKill(p),
		newLogs(p),
		newContainerLs(p),
		newMount(p),
		newPause(p),
		newPort(p),
		newRename(p),
		newRestart(p),
		newRm(p),
		newRun(p),
		newStart(p),
		newStop(p),
		newContainerPrune(p),
		newContainerExists(p),
		newStats(p),
		newTop(p),
		newUnmount(p),
		newUnpause(p),
		newUpdate(p),
		newWait(p),
	)
	return cmd
}

// newContainerLs is ps under the name that it has here.
func newContainerLs(p *program) *cobra.Command {
	cmd := newPs(p)
	cmd.Use = "ls [OPTIONS]"
	cmd.Aliases = []string{"list", "ps"}
	return cmd
}
