package cli

import (
	"context"
	"strconv"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type networkLsOptions struct {
	filters map[string][]string
	format  string
	bare    bool // no headings
	noTrunc bool
	quiet   bool
}

func newNetworkLs(p *program) *cobra.Command {
	var o networkLsOptions
	cmd := &cobra.Command{
		Use:         "ls [OPTIONS]",
		Aliases:     []string{"list"},
		Short:       "List networks",
		Annotations: aliases("skiff network ls, skiff network list"),
		Example: `  skiff network ls
  skiff network ls -q -f type=custom
  skiff network ls --format '{{.Name}}: {{.Driver}}'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			if o.format == "" && !o.quiet {
				o.format = p.dockerConfig().NetworksFormat
			}
			return runNetworkLs(cmd.Context(), e, p.streams, &o)
		},
	}
	known := []string{"dangling", "driver", "id", "label", "name", "scope", "type", "until"}
	flags := cmd.Flags()
	flags.VarP(filters{&o.filters, known}, "filter", "f", `Provide filter values (e.g. "driver=bridge")`)
	flags.StringVar(&o.format, "format", "", formatHelp)
	flags.BoolVar(&o.noTrunc, "no-trunc", false, "Do not truncate the output")
	flags.BoolVar(&o.bare, "noheading", false, "Leave the headings out")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Only display network IDs")
	p.completeFilter(cmd, known)
	completeFormat(cmd, networkHeadings())
	return cmd
}

func runNetworkLs(ctx context.Context, e *run.Engine, s *streams, o *networkLsOptions) error {
	networks, err := e.NetworkList(ctx, o.filters)
	if err != nil {
		return err
	}
	var rows []any
	for _, n := range networks {
		rows = append(rows, networkRowOf(n, o.noTrunc))
	}
	return o.listing().write(s.data(), rows)
}

func (o *networkLsOptions) listing() *listing {
	l := &listing{format: o.format, bare: o.bare, headings: networkHeadings(), standard: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"}
	if o.quiet && (l.format == "" || l.isTable()) {
		l.format = "{{.ID}}"
	}
	return l
}

// networkRow is a network as --format sees it: Docker's fields, in the order of its JSON.
type networkRow struct {
	CreatedAt string
	Driver    string
	ID        string
	IPv4      string
	IPv6      string
	Internal  string
	Labels    string
	Name      string
	Scope     string

	labels map[string]string
}

// Label is the value of one label, or empty.
func (r *networkRow) Label(name string) string { return cell(r.labels[name]) }

func networkHeadings() map[string]string {
	return map[string]string{
		"CreatedAt": "CREATED AT", "Driver": "DRIVER", "ID": "NETWORK ID", "IPv4": "IPV4", "IPv6": "IPV6",
		"Internal": "INTERNAL", "Labels": "LABELS", "Name": "NAME", "Scope": "SCOPE",
	}
}

func networkRowOf(n run.NetworkSummary, whole bool) *networkRow {
	row := &networkRow{
		CreatedAt: n.Created.Local().Format("2006-01-02 15:04:05.999999999 -0700 MST"),
		Driver:    n.Driver,
		ID:        n.ID,
		IPv4:      strconv.FormatBool(n.EnableIPv4),
		IPv6:      strconv.FormatBool(n.EnableIPv6),
		Internal:  strconv.FormatBool(n.Internal),
		Labels:    labels(n.Labels),
		Name:      n.Name,
		Scope:     n.Scope,
		labels:    n.Labels,
	}
	if !whole {
		row.ID = shortID(row.ID)
	}
	return row
}
