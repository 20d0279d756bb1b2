package cli

import (
	"errors"

	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newSecret(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "secret",
		Short:             "Manage secrets",
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(newSecretCreate(p), newSecretExists(p), newSecretInspect(p), newSecretLs(p), newSecretRm(p))
	return cmd
}

// completeSecrets offers the names of secrets for at most so many operands; 0 is no limit.
func (p *program) completeSecrets(most int) words {
	return func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		e := p.quietEngine()
		if e == nil || most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, err := e.Secrets()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, secret := range all {
			names = append(names, secret.Spec.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func newSecretExists(p *program) *cobra.Command {
	return &cobra.Command{
		Use:               "exists SECRET",
		Short:             "Tell by the exit code whether a secret exists: 0 or 1",
		Example:           `  skiff secret exists token || skiff secret create token ./token`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeSecrets(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			_, err = e.SecretInspect(args[0], false)
			if errors.Is(err, store.ErrNoSecret) {
				return exitStatus(1)
			}
			return err
		},
	}
}
