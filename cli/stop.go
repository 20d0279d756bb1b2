package cli

import (
	"context"
	"time"

	"github.com/skiff-containers/skiff/completions"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newStop(p *program) *cobra.Command {
	var o stopFlags
	var chosen selection
	cmd := &cobra.Command{
		Use:         "stop [OPTIONS] CONTAINER [CONTAINER...]",
		Short:       "Stop one or more running containers",
		Annotations: aliases("skiff container stop, skiff stop"),
		Example: `  skiff stop web
  skiff stop -t 60 database     a minute instead of ten seconds before SIGKILL
  skiff stop --all`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0, store.Running),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			names, err := chosen.names(cmd.Context(), e, args, alive)
			if err != nil {
				return err
			}
			return runStop(cmd.Context(), e, p.streams, names, o.options(), &chosen)
		},
	}
	o.add(cmd)
	chosen.addAll(cmd, "a", "Stop all running containers")
	chosen.addCIDFile(cmd)
	chosen.addFilter(p, cmd, "f")
	chosen.addIgnore(cmd, "i")
	chosen.addLatest(cmd, "l")
	return cmd
}

func runStop(ctx context.Context, e *run.Engine, s *streams, refs []string, o run.StopOptions, chosen *selection) error {
	return each(s.data(), refs, func(ref string) (string, error) {
		err := e.Stop(ctx, ref, o)
		if err != nil && chosen.missing(err) == nil {
			return "", nil // as podman: it was not stopped
		}
		return ref, err
	})
}

// stopFlags are those of stop and restart.
type stopFlags struct {
	signal  string
	seconds *int
}

func (f *stopFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.signal, "signal", "s", "", "Signal to send to the container")
	flags.VarP(optionalInt{&f.seconds}, "timeout", "t", "Seconds to wait before killing the container")
	flags.Var(optionalInt{&f.seconds}, "time", "Seconds to wait before killing the container")
	flags.Lookup("time").Hidden = true // what docker called --timeout before 28
	completeFlagBy(cmd, "signal", completions.Signals)
}

func (f *stopFlags) options() run.StopOptions {
	o := run.StopOptions{Signal: f.signal}
	if f.seconds != nil {
		timeout := time.Duration(*f.seconds) * time.Second
		o.Timeout = &timeout
	}
	return o
}
