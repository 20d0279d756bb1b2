package cli

import (
	"context"
	"fmt"

	"github.com/skiff-containers/skiff/registry"
	"github.com/spf13/cobra"
)

func newLogout(p *program) *cobra.Command {
	var o registry.LogoutOptions
	cmd := &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Log out from a registry",
		Long: `Log out from a registry.
Defaults to Docker Hub if no server is specified.`,
		Example:           `  skiff logout registry.lan:5000`,
		Args:              maxArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Server = args[0]
			}
			return runLogout(cmd.Context(), p.streams, o)
		},
	}
	cmd.Flags().StringVar(&o.AuthFile, "authfile", "", "Path of the credentials file (default: docker's)")
	return cmd
}

func runLogout(ctx context.Context, s *streams, o registry.LogoutOptions) error {
	server, err := registry.ServerName(o.Server)
	if err != nil {
		return err
	}
	had, err := registry.Logout(ctx, o)
	if err != nil {
		return err
	}
	if had {
		fmt.Fprintln(s.data(), "Removing login credentials for", server)
	} else {
		fmt.Fprintln(s.data(), "Not logged in to", server)
	}
	return nil
}
