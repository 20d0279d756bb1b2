package cli

import (
	"context"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newAttach(p *program) *cobra.Command {
	var o run.AttachOptions
	chosen := selection{most: 1}
	cmd := &cobra.Command{
		Use:         "attach [OPTIONS] CONTAINER",
		Short:       "Attach local standard input, output, and error streams to a running container",
		Annotations: aliases("skiff container attach, skiff attach"),
		Example: `  skiff attach shell                leave it again by Ctrl-P Ctrl-Q
  skiff attach --no-stdin web       only watch`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(1, store.Running),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			if o.DetachKeys == "" {
				o.DetachKeys = p.dockerConfig().DetachKeys
			}
			ref, err := chosen.one(cmd.Context(), e, args)
			if err != nil {
				return err
			}
			return runAttach(cmd.Context(), e, p.streams, ref, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.DetachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	flags.BoolVar(&o.NoStdin, "no-stdin", false, "Do not attach STDIN")
	flags.BoolVar(&o.SigProxy, "sig-proxy", true, "Proxy all received signals to the process")
	chosen.addLatest(cmd, "l")
	completeFlag(cmd, "detach-keys", "ctrl-p,ctrl-q")
	return cmd
}

func runAttach(ctx context.Context, e *run.Engine, s *streams, ref string, o run.AttachOptions) error {
	if !o.NoStdin && !isTerminal(s.In) {
		c, err := e.Inspect(ctx, ref)
		if err != nil {
			return err
		}
		if c.Config.Tty && c.Config.OpenStdin {
			return &hinted{errNotTTY, "attach without it by --no-stdin"}
		}
	}
	o.Streams = s.forRun()
	out, err := e.Attach(ctx, ref, o)
	if err != nil {
		return err
	}
	return s.ended(out)
}
