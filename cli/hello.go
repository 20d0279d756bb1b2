package cli

import (
	"github.com/skiff-containers/skiff/run/hello"
	"github.com/spf13/cobra"
)

// newHello is what the image skiff.local/hello runs: this binary, inside of a container.
func newHello(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "hello",
		Short:             "Show what a container sees of itself",
		Hidden:            true,
		Example:           `  skiff run --rm skiff.local/hello`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return hello.Show(p.Out, hello.Options{Pretty: colourful(p.Out), Width: width(p.Out, 80)})
		},
	}
}
