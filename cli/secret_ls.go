package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type secretLsOptions struct {
	filters map[string][]string
	format  string
	quiet   bool
}

func newSecretLs(p *program) *cobra.Command {
	var o secretLsOptions
	cmd := &cobra.Command{
		Use:         "ls [OPTIONS]",
		Aliases:     []string{"list"},
		Short:       "List secrets",
		Annotations: aliases("skiff secret ls, skiff secret list"),
		Example: `  skiff secret ls
  skiff secret ls --format '{{.Name}}: {{.UpdatedAt}}'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runSecretLs(e, p.streams, &o)
		},
	}
	known := []string{"id", "label", "name"}
	flags := cmd.Flags()
	flags.VarP(filters{&o.filters, known}, "filter", "f", `Filter output based on conditions provided`)
	flags.StringVar(&o.format, "format", "", formatHelp)
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Only display IDs")
	p.completeFilter(cmd, known)
	completeFormat(cmd, secretHeadings())
	return cmd
}

func runSecretLs(e *run.Engine, s *streams, o *secretLsOptions) error {
	all, err := e.Secrets()
	if err != nil {
		return err
	}
	var rows []any
	for _, secret := range all {
		if o.fits(secret) {
			rows = append(rows, secretRowOf(secret))
		}
	}
	l := &listing{format: o.format, headings: secretHeadings(), standard: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}"}
	if o.quiet && (l.format == "" || l.isTable()) {
		l.format = "{{.ID}}"
	}
	return l.write(s.data(), rows)
}

// fits tells whether a secret meets one of each filter's values.
func (o *secretLsOptions) fits(secret *run.SecretInspect) bool {
	for name, wanted := range o.filters {
		if !slices.ContainsFunc(wanted, func(want string) bool {
			switch name {
			case "id":
				return strings.HasPrefix(secret.ID, want)
			case "name":
				return strings.Contains(secret.Spec.Name, want)
			}
			key, value, given := strings.Cut(want, "=")
			have, ok := secret.Spec.Labels[key]
			return ok && (!given || have == value)
		}) {
			return false
		}
	}
	return true
}

// secretRow is a secret as --format sees it.
type secretRow struct {
	CreatedAt string
	Driver    string
	ID        string
	Labels    string
	Name      string
	UpdatedAt string

	labels map[string]string
}

// Label is the value of one label, or empty.
func (r *secretRow) Label(name string) string { return cell(r.labels[name]) }

func secretHeadings() map[string]string {
	return map[string]string{"CreatedAt": "CREATED", "Driver": "DRIVER", "ID": "ID", "Labels": "LABELS", "Name": "NAME", "UpdatedAt": "UPDATED"}
}

func secretRowOf(secret *run.SecretInspect) *secretRow {
	ago := func(t time.Time) string { return units.HumanDuration(time.Since(t)) + " ago" }
	return &secretRow{
		CreatedAt: ago(secret.CreatedAt), Driver: secret.Spec.Driver.Name, ID: secret.ID, Labels: labels(secret.Spec.Labels),
		Name: secret.Spec.Name, UpdatedAt: ago(secret.UpdatedAt), labels: secret.Spec.Labels,
	}
}
