package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newCp(p *program) *cobra.Command {
	var o run.CopyOptions
	var quiet bool
	cmd := &cobra.Command{
		Use: `cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-
	skiff cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH`,
		Short: "Copy files/folders between a container and the local filesystem",
		Long: `Copy files/folders between a container and the local filesystem

Use '-' as the source to read a tar archive from stdin
and extract it to a directory destination in a container.
It may be compressed by gzip, bzip2 or zstd.
Use '-' as the destination to stream a tar archive of a
container source to stdout.

The container may run or not; what is in its tmpfs mounts
is there while it runs. A path that ends in /. means what is in
the directory, and not the directory itself.`,
		Annotations: aliases("skiff container cp, skiff cp"),
		Example: `  skiff cp web:/etc/nginx/nginx.conf .
  skiff cp ./site/. web:/srv                 the content of site, not site itself
  skiff cp web:/var/log - | tar t
  skiff cp one:/data two:/data               from container to container`,
		Args:              exactArgs(2),
		ValidArgsFunction: p.completeCp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := copyOperands(&o, p.streams, args[0], args[1]); err != nil {
				return err
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("quiet") {
				quiet = !isTerminal(p.Out)
			}
			return runCp(cmd.Context(), e, p.streams, &o, args[1], quiet)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.KeepOwners, "archive", "a", false, "Archive mode (copy all uid/gid information)")
	flags.BoolVarP(&o.FollowLink, "follow-link", "L", false, "Always follow symbol link in SRC_PATH")
	flags.BoolVar(&o.Overwrite, "overwrite", false, "Allow to overwrite directories with non-directories and vice versa")
	flags.BoolVarP(&quiet, "quiet", "q", false, "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached")
	return cmd
}

// copyOperands reads the two ends.
func copyOperands(o *run.CopyOptions, s *streams, source, destination string) error {
	switch {
	case source == "":
		return errors.New("source can not be empty")
	case destination == "":
		return errors.New("destination can not be empty")
	}
	o.From, o.To = copyOperand(source), copyOperand(destination)
	if o.From.Container == "" && o.To.Container == "" {
		return errors.New("must specify at least one container source")
	}
	for _, end := range []run.CopyEnd{o.From, o.To} {
		// A variable that is empty must not mean the whole of a container.
		if end.Container != "" && end.Path == "" {
			return &hinted{fmt.Errorf("no path after the colon of %q", end.Container+":"), end.Container + ":/ is the container's root directory"}
		}
	}
	if source == "-" {
		o.From = run.CopyEnd{Stream: s.In}
	}
	if destination == "-" {
		if isTerminal(s.Out) {
			return &hinted{errors.New("refusing to write an archive to a terminal"), "redirect it to a file, or name a destination"}
		}
		o.To = run.CopyEnd{Stream: s.Out}
	}
	for _, end := range []*run.CopyEnd{&o.From, &o.To} {
		if end.Container != "" || end.Stream != nil {
			continue
		}
		absolute, err := filepath.Abs(end.Path)
		if err != nil {
			return err
		}
		end.Path = absolute + trailing(end.Path)
	}
	return nil
}

// copyOperand splits CONTAINER:PATH. A path of the host's that has a colon is written
// with a slash or a dot before it.
func copyOperand(text string) run.CopyEnd {
	container, path, found := strings.Cut(text, ":")
	if !found || container == "" || strings.HasPrefix(text, "/") || strings.HasPrefix(container, ".") {
		return run.CopyEnd{Path: text}
	}
	return run.CopyEnd{Container: container, Path: path}
}

// trailing is what the end of a path says that cleaning it takes away: that a
// directory, or only its content, is meant.
func trailing(path string) string {
	switch {
	case path == "." || strings.HasSuffix(path, "/."):
		return "/."
	case strings.HasSuffix(path, "/"):
		return "/"
	}
	return ""
}

func runCp(ctx context.Context, e *run.Engine, s *streams, o *run.CopyOptions, destination string, quiet bool) error {
	size, err := e.Copy(ctx, o)
	if err != nil || quiet || o.To.Stream != nil {
		return err
	}
	if o.To.Container == "" {
		destination = o.To.Path
	}
	_, err = fmt.Fprintf(s.talk(), "Successfully copied %s to %s\n", units.HumanSizeWithPrecision(float64(size), 3), destination)
	return err
}

// completeCp offers containers with a colon, and paths of the host's.
func (p *program) completeCp(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) >= 2 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if strings.ContainsAny(word, ":/") || strings.HasPrefix(word, ".") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var candidates []string
	for _, candidate := range p.containers(cmd.Context(), word, nil) {
		name, about, _ := strings.Cut(candidate, "\t")
		candidates = append(candidates, name+":\t"+about)
	}
	if len(candidates) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return candidates, cobra.ShellCompDirectiveNoSpace
}
