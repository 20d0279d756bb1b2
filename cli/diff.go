package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newDiff(p *program) *cobra.Command {
	chosen := selection{most: 1}
	var format string
	cmd := &cobra.Command{
		Use:   "diff [OPTIONS] CONTAINER|IMAGE",
		Short: "Inspect changes to files or directories on a container's filesystem",
		Long: `Inspect changes to files or directories on a container's filesystem:
A for what it has added, C for what it has changed, D for what it has deleted.
Of an image it is what the topmost layer does to those below.`,
		Annotations: aliases("skiff container diff, skiff diff"),
		Example: `  skiff diff web
  skiff diff --format json web`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "" && format != "json" {
				return badFlag(cmd, fmt.Sprintf("invalid format %q: json is the only one", format))
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			ref, err := chosen.one(cmd.Context(), e, args)
			if err != nil {
				return err
			}
			return runDiff(cmd.Context(), e, p.streams, ref, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "Change the output format (json)")
	completeFlag(cmd, "format", "json")
	chosen.addLatest(cmd, "l")
	return cmd
}

func runDiff(ctx context.Context, e *run.Engine, s *streams, ref, format string) error {
	changes, err := e.Diff(ctx, ref)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(s.data())
	if format == "json" {
		err = json.NewEncoder(out).Encode(sortChanges(changes))
	} else {
		for _, c := range changes {
			fmt.Fprintf(out, "%s %s\n", c.Kind, cell(c.Path))
		}
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

// changeLists are podman's object.
type changeLists struct {
	Changed []string `json:"changed,omitempty"`
	Added   []string `json:"added,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

func sortChanges(changes []archive.Change) (l changeLists) {
	for _, c := range changes {
		switch c.Kind {
		case archive.Changed:
			l.Changed = append(l.Changed, c.Path)
		case archive.Added:
			l.Added = append(l.Added, c.Path)
		case archive.Deleted:
			l.Deleted = append(l.Deleted, c.Path)
		}
	}
	return l
}
