package cli

import (
	"context"
	"runtime/debug"
	"strings"

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
			return runPs(cmd.Context(), e, p.streams, &o)
		},
	}
	known := []string{"ancestor", "before", "exited", "expose", "id", "label", "name", "network", "publish", "since", "status", "volume"}
	flags := cmd.Flags()
	flags.BoolVarP(&o.All, "all", "a", false, "Show all containers (default shows just running)")
	flags.VarP(filters{&o.Filters, known}, "filter", "f", "Filter output based on conditions provided")
	flags.StringVar(&o.format, "format", "", formatHelp)
	flags.IntVarP(&o.last, "last", "n", -1, "Show n last created containers (includes all states)")
	flags.BoolVarP(&o.latest, "latest", "l", false, "Show the latest created container (includes all states)")
	flags.BoolVar(&o.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Only display container IDs")
	flags.BoolVarP(&o.size, "size", "s", false, "Display total file sizes")
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
	out := o.listing()
	networks := out.uses("Networks")
	sizes := o.size || out.uses("Size")
	rows := make([]any, len(summaries))
	for i, c := range summaries {
		row := containerRowOf(c, o.noTrunc)
		if networks {
			row.Networks = strings.Join(e.NetworkNames(c.Record), ",")
		}
		if sizes {
			row.Size = containerSize(ctx, e, c.Record)
		}
		rows[i] = row
	}
	return out.write(s.data(), rows)
}

func (o *psOptions) listing() *listing {
	l := &listing{
		format:   o.format,
		standard: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
		headings: containerHeadings(),
	}
	if o.size {
		l.standard += "\t{{.Size}}"
	}
	if o.quiet && (l.format == "" || l.isTable()) {
		l.format = "{{.ID}}"
	}
	return l
}
