package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newRm(p *program) *cobra.Command {
	var o run.RemoveOptions
	cmd := &cobra.Command{
		Use:         "rm [OPTIONS] CONTAINER [CONTAINER...]",
		Aliases:     []string{"remove"},
		Short:       "Remove one or more containers",
		Annotations: aliases("skiff container rm, skiff container remove, skiff rm"),
		Example: `  skiff rm job
  skiff rm -f web                  also if it runs
  skiff rm $(skiff ps -aq -f status=exited)`,
		Args: minArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runRm(cmd.Context(), e, p.streams, args, o)
		},
	}
	cmd.Flags().BoolVarP(&o.Force, "force", "f", false, "Force the removal of a running container (uses SIGKILL)")
	cmd.Flags().BoolVarP(&o.Volumes, "volumes", "v", false, "Remove anonymous volumes associated with the container")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if o.Force {
			return p.completeContainers(0)(cmd, args, word)
		}
		return p.completeContainers(0, store.Created, store.Exited)(cmd, args, word)
	}
	return cmd
}

func runRm(ctx context.Context, e *run.Engine, s *streams, refs []string, o run.RemoveOptions) error {
	return each(s.data(), refs, func(ref string) (string, error) {
		err := e.Remove(ctx, strings.TrimPrefix(ref, "/"), o)
		if o.Force && errors.Is(err, store.ErrNoContainer) {
			// As docker since 23: forced removal of what is not there is told, not failed.
			s.say(cyan, "note:", err.Error())
			return "", nil
		}
		return ref, err
	})
}
