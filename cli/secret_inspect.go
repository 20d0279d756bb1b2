package cli

import (
	"errors"
	"text/template"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newSecretInspect(p *program) *cobra.Command {
	var format string
	var show bool
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] SECRET [SECRET...]",
		Short: "Display detailed information on one or more secrets",
		Example: `  skiff secret inspect token
  skiff secret inspect --showsecret --format '{{.SecretData}}' token`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeSecrets(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runSecretInspect(e, p.streams, args, format, show)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", inspectFormatHelp)
	cmd.Flags().BoolVar(&show, "showsecret", false, "Display what the secret says")
	completeFlag(cmd, "format", "json")
	return cmd
}

func runSecretInspect(e *run.Engine, s *streams, refs []string, format string, show bool) error {
	var shape *template.Template
	if format != "" && format != "json" {
		var err error
		if shape, err = parseTemplate(format); err != nil {
			return err
		}
	}
	found := []any{}
	var failed []error
	for _, ref := range refs {
		secret, err := e.SecretInspect(ref, show)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		found = append(found, secret)
	}
	if shape == nil {
		return errors.Join(append(failed, s.printJSON(found, format == "json"))...)
	}
	for _, secret := range found {
		failed = append(failed, s.printTemplate(shape, secret))
	}
	return errors.Join(failed...)
}
