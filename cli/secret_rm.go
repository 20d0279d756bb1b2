package cli

import (
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type secretRmOptions struct{ all, ignore bool }

func newSecretRm(p *program) *cobra.Command {
	var o secretRmOptions
	cmd := &cobra.Command{
		Use:         "rm [OPTIONS] SECRET [SECRET...]",
		Aliases:     []string{"remove"},
		Short:       "Remove one or more secrets",
		Annotations: aliases("skiff secret rm, skiff secret remove"),
		Example: `  skiff secret rm token
  skiff secret rm --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.all {
				return noArgs(cmd, args)
			}
			return minArgs(1)(cmd, args)
		},
		ValidArgsFunction: p.completeSecrets(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runSecretRm(e, p.streams, args, o)
		},
	}
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "Remove all secrets")
	cmd.Flags().BoolVarP(&o.ignore, "ignore", "i", false, "Ignore secrets that are missing")
	return cmd
}

func runSecretRm(e *run.Engine, s *streams, refs []string, o secretRmOptions) error {
	if o.all {
		all, err := e.Secrets()
		if err != nil {
			return err
		}
		for _, secret := range all {
			refs = append(refs, secret.Spec.Name)
		}
	}
	return inTurn(s.data(), refs, func(ref string) (string, error) {
		id, err := e.SecretRemove(ref)
		if o.ignore && errors.Is(err, store.ErrNoSecret) {
			return "", nil
		}
		return id, err
	})
}
