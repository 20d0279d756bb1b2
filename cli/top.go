package cli

import (
	"bytes"
	"context"
	"strings"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newTop(p *program) *cobra.Command {
	chosen := selection{most: 1}
	cmd := &cobra.Command{
		Use:         "top CONTAINER [ps OPTIONS]",
		Short:       "Display the running processes of a container",
		Annotations: aliases("skiff container top, skiff top"),
		Example: `  skiff top web
  skiff top web -o pid,rss,args      ids of the host, as docker
  skiff top web pid user capeff      ids of the container, as podman`,
		Args: func(cmd *cobra.Command, args []string) error {
			if chosen.latest {
				return nil
			}
			return minArgs(1)(cmd, args)
		},
		ValidArgsFunction: p.completeTop,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			var operand []string
			if !chosen.latest {
				operand, args = args[:1], args[1:]
			}
			ref, err := chosen.one(cmd.Context(), e, operand)
			if err != nil {
				return err
			}
			return runTop(cmd.Context(), e, p.streams, ref, args)
		},
	}
	cmd.Flags().SetInterspersed(false)
	chosen.addLatest(cmd, "l")
	return cmd
}

func runTop(ctx context.Context, e *run.Engine, s *streams, ref string, args []string) error {
	found, err := e.Top(ctx, ref, args)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, row := range append([][]string{found.Titles}, found.Rows...) {
		for i := range row {
			row[i] = cell(row[i])
		}
		lines.WriteString(strings.Join(row, "\t") + "\n")
	}
	return align(s.data(), lines.Bytes())
}

// completeTop offers running containers, then columns.
func (p *program) completeTop(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return p.completeContainers(1, store.Running, store.Paused)(cmd, args, word)
	}
	return run.TopDescriptors(), cobra.ShellCompDirectiveNoFileComp
}
