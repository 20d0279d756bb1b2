package cli

import (
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newPause(p *program) *cobra.Command {
	var chosen selection
	cmd := &cobra.Command{
		Use:         "pause CONTAINER [CONTAINER...]",
		Short:       "Pause all processes within one or more containers",
		Annotations: aliases("skiff container pause, skiff pause"),
		Example: `  skiff pause web
  skiff pause -a            all that run`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0, store.Running),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			running := func(s *store.State) bool { return s.Status == store.Running }
			names, err := chosen.names(cmd.Context(), e, args, running)
			if err != nil {
				return err
			}
			return each(p.data(), names, func(ref string) (string, error) { return ref, e.Pause(cmd.Context(), ref) })
		},
	}
	chosen.addAll(cmd, "a", "Pause all running containers")
	chosen.addCIDFile(cmd)
	chosen.addFilter(p, cmd, "f")
	chosen.addLatest(cmd, "l")
	return cmd
}

func newUnpause(p *program) *cobra.Command {
	var chosen selection
	cmd := &cobra.Command{
		Use:         "unpause CONTAINER [CONTAINER...]",
		Short:       "Unpause all processes within one or more containers",
		Annotations: aliases("skiff container unpause, skiff unpause"),
		Example: `  skiff unpause web
  skiff unpause -a          all that are paused`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0, store.Paused),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			paused := func(s *store.State) bool { return s.Status == store.Paused }
			names, err := chosen.names(cmd.Context(), e, args, paused)
			if err != nil {
				return err
			}
			return each(p.data(), names, func(ref string) (string, error) { return ref, e.Unpause(cmd.Context(), ref) })
		},
	}
	chosen.addAll(cmd, "a", "Unpause all paused containers")
	chosen.addCIDFile(cmd)
	chosen.addFilter(p, cmd, "f")
	chosen.addLatest(cmd, "l")
	return cmd
}
