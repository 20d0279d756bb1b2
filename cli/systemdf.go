package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newSystemDf(p *program) *cobra.Command {
	var format string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "df [OPTIONS]",
		Short: "Show disk usage of containers and images",
		Example: `  skiff system df
  skiff system df -v                     each image and container
  skiff system df --format '{{.Type}}: {{.Reclaimable}}'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if verbose && format != "" && format != "table" {
				return badFlag(cmd, "conflicting options: --verbose and --format")
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			if verbose {
				return runSystemDfVerbose(cmd.Context(), e, p.streams)
			}
			return runSystemDf(cmd.Context(), e, p.streams, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", formatHelp)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "Show detailed information on space usage")
	completeFormat(cmd, dfHeadings())
	return cmd
}

// dfRow is a kind of thing as --format sees it: Docker's fields.
type dfRow struct {
	Active      string
	Reclaimable string
	Size        string
	TotalCount  string
	Type        string
}

func dfHeadings() map[string]string {
	return map[string]string{"Active": "ACTIVE", "Reclaimable": "RECLAIMABLE", "Size": "SIZE", "TotalCount": "TOTAL", "Type": "TYPE"}
}

func runSystemDf(ctx context.Context, e *run.Engine, s *streams, format string) error {
	found, err := e.DiskUsage(ctx)
	if err != nil {
		return err
	}
	rows := make([]any, len(found))
	for i, u := range found {
		row := &dfRow{
			Type: u.Type, TotalCount: strconv.Itoa(u.Total), Active: strconv.Itoa(u.Active),
			Size: units.HumanSize(float64(u.Size)), Reclaimable: units.HumanSize(float64(u.Reclaimable)),
		}
		if u.Size > 0 {
			row.Reclaimable += fmt.Sprintf(" (%d%%)", u.Reclaimable*100/u.Size)
		}
		rows[i] = row
	}
	out := listing{format: format, standard: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", headings: dfHeadings()}
	return out.write(s.data(), rows)
}

// runSystemDfVerbose lists images and containers with their sizes.
func runSystemDfVerbose(ctx context.Context, e *run.Engine, s *streams) error {
	images, err := e.Images(ctx, run.ImageListOptions{})
	if err != nil {
		return err
	}
	fmt.Fprint(s.data(), "Images space usage:\n\n")
	rows := make([]any, len(images))
	for i, img := range images {
		rows[i] = imageRowOf(img, false)
	}
	out := listing{standard: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.Containers}}", headings: imageHeadings()}
	if err := out.write(s.data(), rows); err != nil {
		return err
	}
	fmt.Fprint(s.data(), "\nContainers space usage:\n\n")
	ps := psOptions{size: true}
	ps.All, ps.last = true, -1
	ps.format = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
	return runPs(ctx, e, s, &ps)
}
