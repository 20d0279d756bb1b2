package cli

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type startOptions struct {
	attach      bool
	interactive bool
	detachKeys  string
	sigProxy    bool
}

func newStart(p *program) *cobra.Command {
	var o startOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "start [OPTIONS] CONTAINER [CONTAINER...]",
		Short:       "Start one or more stopped containers",
		Annotations: aliases("skiff container start, skiff start"),
		Example: `  skiff start web
  skiff start -ai shell     and stay connected to it
  skiff start --filter label=tier=front`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0, store.Created, store.Exited),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			if o.detachKeys == "" && (o.attach || o.interactive) {
				o.detachKeys = p.dockerConfig().DetachKeys
			}
			if !cmd.Flags().Changed("sig-proxy") {
				o.sigProxy = o.attach || o.interactive
			}
			names, err := chosen.names(cmd.Context(), e, args, ended)
			if err != nil {
				return err
			}
			return runStart(cmd.Context(), e, p.streams, names, o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.attach, "attach", "a", false, "Attach STDOUT/STDERR and forward signals")
	flags.StringVar(&o.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	flags.BoolVarP(&o.interactive, "interactive", "i", false, "Attach container's STDIN")
	flags.BoolVar(&o.sigProxy, "sig-proxy", false, "Proxy received signals to the process (default true if attaching)")
	refuse(flags, refusal{"checkpoint", "string", "freezing processes to disk needs CRIU and root", "start it anew"}, "Restore from this checkpoint")
	refuse(flags, refusal{"checkpoint-dir", "string", "freezing processes to disk needs CRIU and root", "start it anew"}, "Use a custom checkpoint storage directory")
	completeRefused(cmd)
	chosen.addAll(cmd, "", "Start all containers that do not run")
	chosen.addFilter(p, cmd, "f")
	chosen.addLatest(cmd, "l")
	completeFlag(cmd, "detach-keys", "ctrl-p,ctrl-q")
	return cmd
}

func runStart(ctx context.Context, e *run.Engine, s *streams, refs []string, o startOptions) error {
	if !o.attach && !o.interactive {
		return each(s.data(), refs, func(ref string) (string, error) {
			return ref, e.Start(ctx, ref)
		})
	}
	if len(refs) > 1 {
		return errors.New("you cannot start and attach multiple containers at once")
	}
	out, err := e.StartAttached(ctx, refs[0], run.AttachOptions{
		Streams:    s.forRun(),
		NoStdin:    !o.interactive,
		DetachKeys: o.detachKeys,
		SigProxy:   o.sigProxy,
	})
	if err != nil {
		return err
	}
	return s.ended(out)
}
