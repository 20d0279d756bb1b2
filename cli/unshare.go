package cli

import (
	"context"
	"os"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newUnshare(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unshare [COMMAND [ARG...]]",
		Short: "Run a command in the user namespace of your containers",
		Long: `Run a command in the user namespace of your containers: there you are root, and
the files of their users are yours to read, change and delete. Without a command
it is your shell.`,
		Example: `  skiff unshare cat /proc/self/uid_map
  skiff unshare chown -R 1000:1000 ./data     give a folder to user 1000 of a container`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{shell()}
			}
			e, err := p.engine()
			if err != nil {
				return launching(codeSkiff, err)
			}
			return runUnshare(cmd.Context(), e, p.streams, args)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func runUnshare(ctx context.Context, e *run.Engine, s *streams, argv []string) error {
	code, err := e.Unshare(ctx, argv, s.forRun())
	if err != nil {
		return launching(codeSkiff, err)
	}
	return outcome(code)
}

func shell() string {
	if shell := os.Getenv("SHELL"); shell != "" {
		return shell
	}
	return "/bin/sh"
}
