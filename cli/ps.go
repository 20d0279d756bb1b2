package cli

import (
	"cmp"
	"context"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type psOptions struct {
	run.ListOptions
	format  string
	last    int
	latest  bool
	noTrunc bool
	quiet   bool
	size    bool
	bare    bool   // no headings
	sort    string // podman's; "" is the newest first
	watch   uint   // seconds; 0 is once
}

func newPs(p *program) *cobra.Command {
	var o psOptions
	cmd := &cobra.Command{
		Use:         "ps [OPTIONS]",
		Short:       "List containers",
		Annotations: aliases("skiff container ls, skiff container list, skiff container ps, skiff ps"),
		Example: `  skiff ps -a
  skiff ps -aq -f status=exited -f label=job
  skiff ps --format 'table {{.Names}}\t{{.Status}}'
  skiff ps -a --format json | jq -r .Names`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			if o.format == "" && !o.quiet {
				o.format = p.dockerConfig().PsFormat
			}
			if o.watch > 0 {
				return watchPs(cmd.Context(), e, p.streams, &o)
			}
			return runPs(cmd.Context(), e, p.streams, &o)
		},
	}
	known := containerFilters()
	flags := cmd.Flags()
	flags.BoolVarP(&o.All, "all", "a", false, "Show all containers (default shows just running)")
	flags.VarP(filters{&o.Filters, known}, "filter", "f", "Filter output based on conditions provided")
	flags.StringVar(&o.format, "format", "", formatHelp)
	flags.IntVarP(&o.last, "last", "n", -1, "Show n last created containers (includes all states)")
	flags.BoolVarP(&o.latest, "latest", "l", false, "Show the latest created container (includes all states)")
	flags.BoolVar(&o.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Only display container IDs")
	flags.BoolVarP(&o.size, "size", "s", false, "Display total file sizes")
	flags.BoolVar(&o.bare, "noheading", false, "Leave the headings out")
	flags.Var(choice{&o.sort, psOrders()}, "sort", "Sort by "+strings.Join(psOrders(), ", "))
	flags.UintVarP(&o.watch, "watch", "w", 0, "Show the list again and again, every so many seconds")
	completeFlag(cmd, "sort", psOrders()...)
	p.completeFilter(cmd, known)
	completeFormat(cmd, containerHeadings())
	return cmd
}

func runPs(ctx context.Context, e *run.Engine, s *streams, o *psOptions) error {
	// Hundreds of containers make a few megabytes, and collecting them costs more
	// than keeping them for the milliseconds that are left.
	debug.SetGCPercent(400)
	o.Last = max(o.last, 0)
	if o.latest {
		o.Last = 1
	}
	summaries, err := e.List(ctx, o.ListOptions)
	if err != nil {
		return err
	}
	sortSummaries(summaries, o.sort)
	out := o.listing()
	networks := out.uses("Networks")
	sizes := o.size || o.sort == "size" || out.uses("Size")
	rows := make([]any, len(summaries))
	for i, c := range summaries {
		row := containerRowOf(c, o.noTrunc)
		if networks {
			row.Networks = strings.Join(e.NetworkNames(c.Record), ",")
		}
		if sizes {
			if err := row.measure(ctx, e); err != nil {
				return err
			}
		}
		rows[i] = row
	}
	if o.sort == "size" {
		slices.SortStableFunc(rows, func(a, b any) int {
			return cmp.Compare(a.(*containerRow).written, b.(*containerRow).written)
		})
	}
	return out.write(s.data(), rows)
}

// watchPs shows the list until it is interrupted, on a terminal in place of the one before.
func watchPs(ctx context.Context, e *run.Engine, s *streams, o *psOptions) error {
	for {
		if isTerminal(s.Out) {
			io.WriteString(s.Out, "\x1b[H\x1b[2J")
		}
		if err := runPs(ctx, e, s, o); err != nil {
			return untilInterrupted(ctx, err)
		}
		select {
		case <-ctx.Done():
			return untilInterrupted(ctx, ctx.Err())
		case <-time.After(time.Duration(o.watch) * time.Second):
		}
	}
}

// psOrders are what --sort takes.
func psOrders() []string {
	return []string{"command", "created", "id", "image", "names", "runningfor", "size", "status"}
}

// sortSummaries sorts as podman does, by one column upwards. By size the rows are sorted.
func sortSummaries(all []run.Summary, by string) {
	key := map[string]func(run.Summary) string{
		"command": func(c run.Summary) string { return command(c.Record, true) },
		"id":      func(c run.Summary) string { return c.Record.ID },
		"image":   func(c run.Summary) string { return imageOf(c.Record, true) },
		"names":   func(c run.Summary) string { return c.Record.Name },
		"status":  func(c run.Summary) string { return string(c.State.Status) },
	}[by]
	switch {
	case key != nil:
		slices.SortStableFunc(all, func(a, b run.Summary) int { return cmp.Compare(key(a), key(b)) })
	case by == "created":
		slices.SortStableFunc(all, func(a, b run.Summary) int { return a.Record.Created.Compare(b.Record.Created) })
	case by == "runningfor":
		slices.SortStableFunc(all, func(a, b run.Summary) int { return a.State.StartedAt.Compare(b.State.StartedAt) })
	}
}

func (o *psOptions) listing() *listing {
	l := &listing{
		format:   o.format,
		standard: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
		headings: containerHeadings(),
		bare:     o.bare,
	}
	if o.size {
		l.standard += "\t{{.Size}}"
	}
	if o.quiet && (l.format == "" || l.isTable()) {
		l.format = "{{.ID}}"
	}
	return l
}
