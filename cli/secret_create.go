package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type secretCreateOptions struct {
	run.SecretCreateOptions
	env bool
}

func newSecretCreate(p *program) *cobra.Command {
	var o secretCreateOptions
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] SECRET FILE|-",
		Short: "Create a secret from a file or STDIN as content",
		Example: `  skiff secret create token ./token.txt
  pass show db | skiff secret create db-password -
  skiff secret create --env token API_TOKEN
  skiff run --rm --secret token alpine cat /run/secrets/token`,
		Args: exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runSecretCreate(e, p.streams, args[1], &o)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.env, "env", false, "Read the secret from a variable of the environment")
	flags.VarP(fixed{"file", refusal{"driver", "string", "secrets lie in files of the store", "leave it out"}}, "driver", "d", "Secret driver")
	listVar(flags, &o.Labels, "label", "l", "Secret labels")
	flags.BoolVar(&o.Replace, "replace", false, "Replace the secret that has the name, should there be one")
	completeFlag(cmd, "label")
	completeFlag(cmd, "driver", "file")
	return cmd
}

func runSecretCreate(e *run.Engine, s *streams, source string, o *secretCreateOptions) (err error) {
	if o.Data, err = readSecret(s, source, o.env); err != nil {
		return err
	}
	id, err := e.SecretCreate(&o.SecretCreateOptions)
	if err == nil {
		fmt.Fprintln(s.data(), id)
	}
	return err
}

// readSecret reads what a secret says: at most a byte more than it may.
func readSecret(s *streams, source string, env bool) ([]byte, error) {
	if env {
		value, ok := os.LookupEnv(source)
		if !ok {
			return nil, fmt.Errorf("reading the secret: there is no variable %q", source)
		}
		return []byte(value), nil
	}
	in := s.In
	if source != "-" {
		f, err := os.Open(source)
		if err != nil {
			return nil, fmt.Errorf("reading the secret: %w", err)
		}
		defer f.Close()
		in = f
	} else if isTerminal(s.In) {
		return nil, &hinted{errors.New("the secret would be read from the terminal"), "name a file, or write it into a pipe"}
	}
	data, err := io.ReadAll(io.LimitReader(in, store.MaxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	return data, nil
}
