package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type imagesOptions struct {
	run.ImageListOptions
	all     bool
	digests bool
	format  string
	noTrunc bool
	quiet   bool
}

func newImages(p *program) *cobra.Command {
	var o imagesOptions
	cmd := &cobra.Command{
		Use:         "images [OPTIONS] [REPOSITORY[:TAG]]",
		Short:       "List images",
		Annotations: aliases("skiff image ls, skiff image list, skiff images"),
		Example: `  skiff images
  skiff images 'alpine:3.*'
  skiff images -f dangling=true -q
  skiff images --format '{{.Repository}}:{{.Tag}} {{.Size}}'`,
		Args:              maxArgs(1),
		ValidArgsFunction: p.completeImage(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Reference = args[0]
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			if o.format == "" && !o.quiet {
				o.format = p.dockerConfig().ImagesFormat
			}
			return runImages(cmd.Context(), e, p.streams, &o)
		},
	}
	known := []string{"before", "dangling", "label", "reference", "since", "until"}
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all", "a", false, "Show all images (skiff keeps no intermediate images)")
	flags.BoolVar(&o.digests, "digests", false, "Show digests")
	flags.VarP(filters{&o.Filters, known}, "filter", "f", "Filter output based on conditions provided")
	flags.StringVar(&o.format, "format", "", formatHelp)
	flags.BoolVar(&o.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Only show image IDs")
	p.completeFilter(cmd, known)
	completeFormat(cmd, imageHeadings())
	return cmd
}

func runImages(ctx context.Context, e *run.Engine, s *streams, o *imagesOptions) error {
	images, err := e.Images(ctx, o.ImageListOptions)
	if err != nil {
		return err
	}
	out := o.listing()
	var rows []any
	var seen []string
	for _, i := range images {
		if o.quiet {
			if slices.Contains(seen, i.ID) {
				continue // one with several names is one image
			}
			seen = append(seen, i.ID)
		}
		rows = append(rows, imageRowOf(i, o.noTrunc))
	}
	return out.write(s.data(), rows)
}

func (o *imagesOptions) listing() *listing {
	l := &listing{format: o.format, headings: imageHeadings()}
	columns := []string{"{{.Repository}}", "{{.Tag}}", "{{.ID}}", "{{.CreatedSince}}", "{{.Size}}"}
	if o.digests {
		columns = slices.Insert(columns, 2, "{{.Digest}}")
	}
	l.standard = strings.Join(columns, "\t")
	if o.quiet && (l.format == "" || l.isTable()) {
		l.format = "{{.ID}}"
	}
	return l
}

// imageRow is an image as --format sees it: Docker's fields, in the order of its JSON.
type imageRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Platform     string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
	VirtualSize  string

	labels map[string]string
}

// Label is the value of one label, or empty.
func (r *imageRow) Label(name string) string { return cell(r.labels[name]) }

func imageHeadings() map[string]string {
	return map[string]string{
		"Containers": "CONTAINERS", "CreatedAt": "CREATED AT", "CreatedSince": "CREATED", "Digest": "DIGEST",
		"ID": "IMAGE ID", "Platform": "PLATFORM", "Repository": "REPOSITORY", "SharedSize": "SHARED SIZE",
		"Size": "SIZE", "Tag": "TAG", "UniqueSize": "UNIQUE SIZE", "VirtualSize": "SIZE",
	}
}

func imageRowOf(i run.ImageSummary, whole bool) *imageRow {
	size := units.HumanSizeWithPrecision(float64(i.Size), 3)
	row := &imageRow{
		Containers:   strconv.Itoa(i.Containers),
		CreatedAt:    createdAt(i.Created),
		CreatedSince: ago(i.Created),
		Digest:       orNone(i.Digest),
		ID:           i.ID,
		Platform:     i.Platform,
		Repository:   cell(orNone(i.Repository)),
		SharedSize:   "N/A",
		Size:         size,
		Tag:          cell(orNone(i.Tag)),
		UniqueSize:   "N/A",
		VirtualSize:  size,
		labels:       i.Labels,
	}
	if i.Created.Unix() <= 0 {
		row.CreatedSince = "N/A" // reproducible images have no time of their own
	}
	if !whole {
		row.ID = shortID(row.ID)
	}
	return row
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}
