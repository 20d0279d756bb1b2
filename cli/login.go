package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/skiff-containers/skiff/registry"
	"github.com/spf13/cobra"
)

type loginOptions struct {
	registry.LoginOptions
	passwordStdin bool
	passwordGiven bool
}

func newLogin(p *program) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [OPTIONS] [SERVER]",
		Short: "Authenticate to a registry",
		Long: `Authenticate to a registry.
Defaults to Docker Hub if no server is specified.`,
		Example: `  skiff login
  skiff login -u robot --password-stdin registry.lan:5000 < token`,
		Args:              maxArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Server = args[0]
			}
			o.passwordGiven = cmd.Flags().Changed("password")
			if err := o.check(cmd); err != nil {
				return err
			}
			return runLogin(cmd.Context(), p.streams, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.AuthFile, "authfile", "", "Path of the credentials file (default: docker's)")
	flags.StringVarP(&o.Password, "password", "p", "", "Password or Personal Access Token (PAT)")
	flags.BoolVar(&o.passwordStdin, "password-stdin", false, "Take the Password or Personal Access Token (PAT) from stdin")
	flags.BoolVar(&o.TLSVerify, "tls-verify", true, "Require HTTPS and verify the registry's certificate")
	flags.StringVarP(&o.Username, "username", "u", "", "Username")
	completeFlag(cmd, "password")
	completeFlag(cmd, "username")
	completeFlag(cmd, "tls-verify", "true", "false")
	return cmd
}

func (o *loginOptions) check(cmd *cobra.Command) error {
	switch {
	case o.passwordGiven && o.passwordStdin:
		return badFlag(cmd, "conflicting options: cannot specify both --password and --password-stdin")
	case o.passwordStdin && o.Username == "":
		return badFlag(cmd, "the --password-stdin option requires --username to be set")
	}
	return nil
}

func runLogin(ctx context.Context, s *streams, o loginOptions) error {
	server, err := registry.ServerName(o.Server)
	if err != nil {
		return err
	}
	switch {
	case o.passwordGiven:
		s.say(red, "warning:", "--password shows in the list of processes and in the shell's history: use --password-stdin")
	case o.passwordStdin:
		text, err := io.ReadAll(io.LimitReader(s.In, maxPassword))
		if err != nil {
			return fmt.Errorf("reading the password from stdin: %w", err)
		}
		o.Password = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	}
	if o.Username == "" {
		if o.Username, err = s.ask(ctx, "Username for "+server+": "); err != nil {
			return err
		}
	}
	if o.Username == "" {
		return errors.New("username is required")
	}
	if !o.passwordGiven && !o.passwordStdin {
		if o.Password, err = s.askSecret(ctx, "Password: "); err != nil {
			return err
		}
	}
	if o.Password == "" {
		return errors.New("password is required")
	}
	if err := registry.Login(ctx, o.LoginOptions); err != nil {
		return err
	}
	fmt.Fprintln(s.data(), "Login Succeeded")
	return nil
}

// maxPassword bounds what --password-stdin reads: tokens are a few kilobytes.
const maxPassword = 1 << 20
