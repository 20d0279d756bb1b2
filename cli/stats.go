package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type statsOptions struct {
	all      bool
	format   string
	noStream bool
	noTrunc  bool
	noReset  bool
	interval uint // seconds
}

// firstLook is how long after the first sample the second is taken, as a share of the
// processor takes two.
const firstLook = 500 * time.Millisecond

func newStats(p *program) *cobra.Command {
	var o statsOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "stats [OPTIONS] [CONTAINER...]",
		Short:       "Display a live stream of container(s) resource usage statistics",
		Annotations: aliases("skiff container stats, skiff stats"),
		Example: `  skiff stats
  skiff stats --no-stream --format '{{.Name}} {{.CPUPerc}}' web
  skiff stats -a --no-stream --format json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if chosen.latest || o.all {
				return noArgs(cmd, args)
			}
			return nil
		},
		ValidArgsFunction: p.completeContainers(0, store.Running, store.Paused),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			if args, err = chosen.names(cmd.Context(), e, args, nil); err != nil {
				return err
			}
			if o.format == "" {
				o.format = p.dockerConfig().StatsFormat
			}
			return runStats(cmd.Context(), e, p.streams, args, &o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all", "a", false, "Show all containers (default shows just running)")
	flags.StringVar(&o.format, "format", "", formatHelp)
	flags.UintVarP(&o.interval, "interval", "i", 1, "Seconds between two looks")
	flags.BoolVar(&o.noReset, "no-reset", false, "Leave what was shown before on the screen")
	flags.BoolVar(&o.noStream, "no-stream", false, "Disable streaming stats and only pull the first result")
	flags.BoolVar(&o.noTrunc, "no-trunc", false, "Do not truncate output")
	chosen.addLatest(cmd, "l")
	completeFormat(cmd, statsHeadings())
	completeFlag(cmd, "interval", "1", "2", "5", "10")
	return cmd
}

func runStats(ctx context.Context, e *run.Engine, s *streams, refs []string, o *statsOptions) error {
	if _, err := parseTemplate(o.listing().template()); err != nil {
		return err
	}
	watched := &watch{engine: e, refs: refs, all: o.all, seen: map[string]*figures{}, tell: s.note}
	if _, err := watched.look(ctx); err != nil {
		return untilInterrupted(ctx, err)
	}
	show, done := o.shower(s)
	defer done()
	for wait := firstLook; ; wait = time.Duration(max(o.interval, 1)) * time.Second {
		select {
		case <-ctx.Done():
			return untilInterrupted(ctx, ctx.Err())
		case <-time.After(wait):
		}
		rows, err := watched.look(ctx)
		if err != nil {
			return untilInterrupted(ctx, err)
		}
		if err := show(rows); err != nil || o.noStream || len(refs) > 0 && len(rows) == 0 {
			return err
		}
	}
}

// shower is how rows are shown: once or to a file as lines, on a terminal in place of
// those before, there with bars and histories where it shows colours. done gives the
// terminal back.
func (o *statsOptions) shower(s *streams) (show func([]*figures) error, done func()) {
	if o.noStream || o.noReset || !isTerminal(s.Out) || !movable() {
		return func(rows []*figures) error { return o.write(s.data(), rows) }, func() {}
	}
	picture := &picture{f: s.Out}
	picture.begin()
	return func(rows []*figures) error {
		columns, height := terminalSize(s.Out)
		if (o.format == "" || o.format == "table") && colourful(s.Out) && drawable() {
			picture.draw(meterLines(rows, columns, o.noTrunc), columns, height)
			return nil
		}
		var text bytes.Buffer
		if err := o.write(&text, rows); err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSuffix(clean(text.String()), "\n"), "\n")
		for i := range lines {
			lines[i] = ellipsis(lines[i], columns)
		}
		picture.draw(lines, columns, height)
		return nil
	}, picture.end
}

func (o *statsOptions) listing() *listing {
	return &listing{
		format:   o.format,
		standard: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
		headings: statsHeadings(),
	}
}

func (o *statsOptions) write(w io.Writer, found []*figures) error {
	rows := make([]any, len(found))
	for i, f := range found {
		rows[i] = f.row(o.noTrunc)
	}
	if err := o.listing().write(w, rows); err != nil {
		return fmt.Errorf("showing statistics: %w", err)
	}
	return nil
}
