package cli

import "github.com/spf13/cobra"

func newImage(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "image",
		Short:             "Manage images",
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(newImageExists(p), newImageInspect(p), newImageLs(p), newImagePrune(p), newPull(p), newImageRm(p), newTag(p))
	return cmd
}

// newImageLs is images under the name that it has here.
func newImageLs(p *program) *cobra.Command {
	cmd := newImages(p)
	cmd.Use = "ls [OPTIONS] [REPOSITORY[:TAG]]"
	cmd.Aliases = []string{"list"}
	return cmd
}

// newImageRm is rmi under the name that it has here.
func newImageRm(p *program) *cobra.Command {
	cmd := newRmi(p)
	cmd.Use = "rm [OPTIONS] IMAGE [IMAGE...]"
	cmd.Aliases = []string{"remove"}
	return cmd
}
