package cli

import (
	"context"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newCreate(p *program) *cobra.Command {
	var o containerFlags
	cmd := &cobra.Command{
		Use:         "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short:       "Create a new container",
		Annotations: aliases("skiff container create, skiff create"),
		Example: `  skiff create --name job alpine sh -c 'date; sleep 5'
  skiff start -a job`,
		Args: minArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Image, o.Command = args[0], args[1:]
			platform, err := o.parts.over(cmd, o.Platform)
			if err != nil {
				return badFlag(cmd, err.Error())
			}
			o.Platform = platform
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runCreate(cmd.Context(), e, p.streams, &o)
		},
	}
	cmd.Flags().SetInterspersed(false)
	o.add(cmd.Flags(), "creating")
	o.complete(p, cmd)
	return cmd
}

func runCreate(ctx context.Context, e *run.Engine, s *streams, o *containerFlags) error {
	o.TLSVerify = o.pull.tlsVerify
	progress, done := o.pull.start(s)
	defer done()
	o.Progress = progress
	id, err := e.Create(ctx, &o.CreateOptions)
	if err != nil {
		return err
	}
	done()
	fmt.Fprintln(s.data(), id)
	return nil
}
