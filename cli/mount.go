package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newMount(p *program) *cobra.Command {
	var chosen selection
	var format string
	var long bool
	cmd := &cobra.Command{
		Use:   "mount [OPTIONS] [CONTAINER...]",
		Short: "Mount the root filesystem of containers, and print where",
		Long: `Mount the root filesystem of containers, and print where. Without a
container those that are mounted are listed.

An ordinary user may mount nothing but in a user namespace: use skiff unshare,
with which the mounts end.`,
		Example: `  skiff unshare sh -c 'ls $(skiff mount web)'
  skiff mount --format json`,
		Annotations:       aliases("skiff container mount, skiff mount"),
		Args:              optionalContainers(&chosen),
		ValidArgsFunction: p.completeContainers(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "" && format != "json" {
				return badFlag(cmd, fmt.Sprintf("invalid format %q: json is the only one", format))
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			if len(args) == 0 && chosen.empty() {
				return listMounts(cmd.Context(), e, p.streams, format, long)
			}
			names, err := chosen.names(cmd.Context(), e, args, nil)
			if err != nil {
				return err
			}
			return runMount(cmd.Context(), e, p.streams, names)
		},
	}
	chosen.addAll(cmd, "a", "Mount all containers")
	chosen.addLatest(cmd, "l")
	cmd.Flags().StringVar(&format, "format", "", "Print the mounted containers in specified format (json)")
	cmd.Flags().BoolVar(&long, "no-trunc", false, "Do not truncate output")
	completeFlag(cmd, "format", "json")
	return cmd
}

// optionalContainers lets no container be named at all.
func optionalContainers(chosen *selection) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && chosen.empty() {
			return nil
		}
		return chosen.operands(cmd, args)
	}
}

// runMount prints the path alone where one container is named, as it is then for a
// command line, and ids before the paths of several.
func runMount(ctx context.Context, e *run.Engine, s *streams, names []string) error {
	return inTurn(s.data(), names, func(ref string) (string, error) {
		path, err := e.MountRoot(ctx, ref)
		if err == nil && len(names) > 1 {
			path = ref + "  " + path
		}
		return path, err
	})
}

// mountRow is podman's object.
type mountRow struct {
	ID         string `json:"id"`
	Names      []string
	Mountpoint string `json:"mountpoint"`
}

func listMounts(ctx context.Context, e *run.Engine, s *streams, format string, long bool) error {
	roots, err := e.MountedRoots(ctx)
	if err != nil {
		return err
	}
	if format == "json" {
		rows := []mountRow{}
		for _, r := range roots {
			rows = append(rows, mountRow{r.ID, []string{r.Name}, r.Path})
		}
		encoder := json.NewEncoder(s.data())
		encoder.SetIndent("", " ")
		return encoder.Encode(rows)
	}
	for _, r := range roots {
		id := r.ID
		if !long {
			id = id[:12]
		}
		if _, err := fmt.Fprintf(s.data(), "%s  %s\n", id, r.Path); err != nil {
			return err
		}
	}
	return nil
}

func newUnmount(p *program) *cobra.Command {
	var chosen selection
	var force bool
	cmd := &cobra.Command{
		Use:         "unmount [OPTIONS] CONTAINER [CONTAINER...]",
		Aliases:     []string{"umount"},
		Short:       "Unmount the root filesystem of containers",
		Long:        "Unmount the root filesystem of containers, where skiff mount was called.",
		Annotations: aliases("skiff container unmount, skiff container umount, skiff unmount, skiff umount"),
		Example: `  skiff unmount web
  skiff unmount --all`,
		Args:              chosen.operands,
		ValidArgsFunction: p.completeContainers(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			names, err := unmountNames(cmd.Context(), e, &chosen, args)
			if err != nil {
				return err
			}
			return inTurn(p.data(), names, func(ref string) (string, error) { return ref, e.UnmountRoot(cmd.Context(), ref, force) })
		},
	}
	chosen.addAll(cmd, "a", "Unmount all of the currently mounted containers")
	chosen.addLatest(cmd, "l")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Force the complete unmount of the specified mounted containers")
	return cmd
}

func unmountNames(ctx context.Context, e *run.Engine, chosen *selection, args []string) (ids []string, err error) {
	if !chosen.all {
		return chosen.names(ctx, e, args, nil)
	}
	roots, err := e.MountedRoots(ctx)
	for _, r := range roots {
		ids = append(ids, r.ID)
	}
	return ids, err
}
