package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type logsOptions struct {
	run.LogOptions
	since, until, tail string
	labels             logLabels
}

func newLogs(p *program) *cobra.Command {
	var o logsOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "logs [OPTIONS] CONTAINER",
		Short:       "Fetch the logs of a container",
		Annotations: aliases("skiff container logs, skiff logs"),
		Example: `  skiff logs -f --tail 20 web
  skiff logs -t --since 10m web
  skiff logs -f --names --color web database     as they come, of both`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(time.Now()); err != nil {
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
			o.labels.many = len(names) > 1
			if o.labels == (logLabels{}) {
				return runLogs(cmd.Context(), e, p.streams, names[0], o.LogOptions)
			}
			return runLogsOfMany(cmd.Context(), e, p.streams, names, o.LogOptions, o.labels)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.labels.colours, "color", false, "Show the lines of each container in a colour of its own")
	flags.BoolVar(&o.labels.names, "names", false, "Show the container's name before each line")
	chosen.addLatest(cmd, "l")
	flags.BoolVar(&o.Details, "details", false, "Show extra details provided to logs")
	flags.BoolVarP(&o.Follow, "follow", "f", false, "Follow log output")
	flags.StringVar(&o.since, "since", "", `Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	flags.StringVarP(&o.tail, "tail", "n", "all", "Number of lines to show from the end of the logs")
	flags.BoolVarP(&o.Timestamps, "timestamps", "t", false, "Show timestamps")
	flags.StringVar(&o.until, "until", "", `Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	completeFlag(cmd, "since", "1m", "10m", "1h", "24h")
	completeFlag(cmd, "until", "1m", "10m", "1h", "24h")
	completeFlag(cmd, "tail", "all", "10", "100", "1000")
	return cmd
}

func (o *logsOptions) parse(now time.Time) (err error) {
	if o.Since, err = parseTime(o.since, now); err != nil {
		return fmt.Errorf("parsing --since: %w", err)
	}
	if o.Until, err = parseTime(o.until, now); err != nil {
		return fmt.Errorf("parsing --until: %w", err)
	}
	o.Tail = -1
	if o.tail != "all" && o.tail != "" {
		if o.Tail, err = strconv.Atoi(o.tail); err != nil {
			return fmt.Errorf("parsing --tail %q: neither a number nor \"all\"", o.tail)
		}
	}
	return nil
}

func runLogs(ctx context.Context, e *run.Engine, s *streams, ref string, o run.LogOptions) error {
	return untilInterrupted(ctx, e.Logs(ctx, ref, o, s.Out, s.Err))
}

// parseTime understands what Docker's --since does: a duration back from now,
// seconds since 1970 with a fraction, or a date with as much of a time as there is,
// in the local zone where none is given. Empty is the zero time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	if t, ok := parseUnixTime(text); ok {
		return t, nil
	}
	layouts := []string{
		time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02Z07:00",
		"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02",
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 42m", text)
}

func parseUnixTime(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	fraction = (fraction + "000000000")[:9]
	nanoseconds, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil || nanoseconds < 0 {
		return time.Time{}, false
	}
	return time.Unix(seconds, nanoseconds), true
}
