package cli

import "github.com/spf13/cobra"

func newRename(p *program) *cobra.Command {
	return &cobra.Command{
		Use:         "rename CONTAINER NEW_NAME",
		Short:       "Rename a container",
		Annotations: aliases("skiff container rename, skiff rename"),
		Long: `Rename a container. It may run: those in its networks find it by its new
name from then on.`,
		Example:           `  skiff rename web web-old`,
		Args:              exactArgs(2),
		ValidArgsFunction: p.completeRename,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return e.Rename(cmd.Context(), args[0], args[1])
		},
	}
}

// completeRename offers a container, and nothing for its new name.
func (p *program) completeRename(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeContainers(1)(cmd, args, word)
}
