package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type waitOptions struct {
	conditions []string
	interval   string
	every      time.Duration
}

func newWait(p *program) *cobra.Command {
	var o waitOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "wait CONTAINER [CONTAINER...]",
		Short:       "Block until one or more containers stop, then print their exit codes",
		Annotations: aliases("skiff container wait, skiff wait"),
		Example: `  test "$(skiff wait job)" = 0 && echo it went well
  skiff wait --condition removed job`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0, store.Running, store.Created, store.Paused, store.Restarting),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(); err != nil {
				return err
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			names, err := chosen.names(cmd.Context(), e, args, nil)
			if err != nil {
				return err
			}
			return runWait(cmd.Context(), e, p.streams, names, &o, &chosen)
		},
	}
	listVar(cmd.Flags(), &o.conditions, "condition", "", "Condition to wait on (default not-running)")
	cmd.Flags().StringVarP(&o.interval, "interval", "i", "250ms", "How often to look for a state, where --condition names one")
	chosen.addIgnore(cmd, "")
	chosen.addLatest(cmd, "l")
	completeFlagBy(cmd, "condition", run.WaitConditions)
	completeFlag(cmd, "interval", "100ms", "250ms", "1s")
	return cmd
}

// parse reads the interval: a duration, or milliseconds.
func (o *waitOptions) parse() (err error) {
	if ms, notNumber := strconv.Atoi(o.interval); notNumber == nil {
		o.every = time.Duration(ms) * time.Millisecond
	} else if o.every, err = time.ParseDuration(o.interval); err != nil {
		return fmt.Errorf("parsing --interval: %w", err)
	}
	if o.every <= 0 {
		return fmt.Errorf("parsing --interval: %q is no time to wait", o.interval)
	}
	if len(o.conditions) == 0 {
		o.conditions = []string{"not-running"}
	}
	return nil
}

func runWait(ctx context.Context, e *run.Engine, s *streams, refs []string, o *waitOptions, chosen *selection) error {
	return untilInterrupted(ctx, each(s.data(), refs, func(ref string) (string, error) {
		code, err := e.WaitState(ctx, ref, o.conditions, o.every)
		if chosen.ignore && errors.Is(err, store.ErrNoContainer) {
			code, err = -1, nil
		}
		return strconv.Itoa(code), err
	}))
}
