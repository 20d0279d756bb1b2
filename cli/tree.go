package cli

import (
	"os"

	"github.com/spf13/cobra"
)

// Tree is the whole command line, for what documents it. Nothing of it is to be executed.
func Tree() *cobra.Command {
	return newRoot(&program{streams: &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}}, nil)
}
