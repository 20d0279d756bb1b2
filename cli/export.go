package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newExport(p *program) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:         "export [OPTIONS] CONTAINER",
		Short:       "Export a container's filesystem as a tar archive",
		Annotations: aliases("skiff container export, skiff export"),
		Example: `  skiff export web >web.tar
  skiff export -o web.tar web`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeContainers(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" && isTerminal(p.Out) {
				return &hinted{errors.New("refusing to write an archive to a terminal"), "use the flag -o, or redirect it to a file"}
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			if output == "" {
				return e.Export(cmd.Context(), args[0], p.Out)
			}
			return exportTo(cmd.Context(), e, args[0], output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "Write to a file, instead of STDOUT")
	return cmd
}

// exportTo writes a file that is there when it is complete.
func exportTo(ctx context.Context, e *run.Engine, ref, path string) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("invalid output path: %q must be a regular file", path)
	}
	if folder := filepath.Dir(path); noFolder(folder) {
		return fmt.Errorf("invalid output path: directory %q does not exist", folder)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("invalid output path: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = errors.Join(e.Export(ctx, ref, f), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// noFolder tells whether nothing is at a path. What is there and cannot be used is
// told by who uses it.
func noFolder(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
