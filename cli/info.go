package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newInfo(p *program) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:         "info [OPTIONS]",
		Short:       "Display system-wide information",
		Annotations: aliases("skiff system info, skiff info"),
		Example: `  skiff info
  skiff info -f '{{.Driver}} in {{.DockerRootDir}}'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runInfo(cmd.Context(), e, p.streams, format)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", inspectFormatHelp)
	completeFlag(cmd, "format", "json", "{{.Driver}}", "{{.DockerRootDir}}", "{{.ServerVersion}}")
	return cmd
}

func runInfo(ctx context.Context, e *run.Engine, s *streams, format string) error {
	i, err := e.Info(ctx)
	if err != nil {
		return err
	}
	if format != "" {
		return s.printFormat(format, i)
	}
	printInfo(s.data(), i)
	for _, warning := range i.Warnings {
		s.say(red, "warning:", warning)
	}
	return nil
}

// printInfo uses Docker's names for what both have.
func printInfo(w io.Writer, i *run.Info) {
	line := func(name string, value any) { fmt.Fprintf(w, "%s: %v\n", name, value) }
	line("Containers", i.Containers)
	line(" Running", i.ContainersRunning)
	line(" Paused", i.ContainersPaused)
	line(" Stopped", i.ContainersStopped)
	line("Images", i.Images)
	line("Server Version", i.ServerVersion)
	line("Storage Driver", i.Driver)
	line("Logging Driver", i.LoggingDriver)
	line("Cgroup Driver", i.CgroupDriver)
	line("Cgroup Version", i.CgroupVersion)
	if len(i.CgroupControllers) > 0 {
		line("Cgroup Controllers", strings.Join(i.CgroupControllers, " "))
	}
	line("Runtimes", strings.Join(slices.Sorted(maps.Keys(i.Runtimes)), " "))
	line("Default Runtime", i.DefaultRuntime)
	fmt.Fprintln(w, "Security Options:")
	for _, option := range i.SecurityOptions {
		fmt.Fprintf(w, " %s\n", strings.TrimPrefix(option, "name="))
	}
	line("Rootless", i.Rootless)
	printIDMap(w, "User IDs", i.UIDMap)
	printIDMap(w, "Group IDs", i.GIDMap)
	if i.NewuidmapPath != "" {
		line("Newuidmap", i.NewuidmapPath)
	}
	line("Kernel Version", i.KernelVersion)
	line("Operating System", i.OperatingSystem)
	line("OSType", i.OSType)
	line("Architecture", i.Architecture)
	line("CPUs", i.NCPU)
	line("Total Memory", units.BytesSize(float64(i.MemTotal)))
	line("Name", i.Name)
	line("Skiff Root Dir", i.DockerRootDir)
	if i.ConfigFile != "" {
		line("Config File", i.ConfigFile)
	}
}

func printIDMap(w io.Writer, title string, ranges []run.IDMap) {
	if len(ranges) == 0 {
		return
	}
	fmt.Fprintf(w, "%s:\n", title)
	for _, r := range ranges {
		if r.Size == 1 {
			fmt.Fprintf(w, " %d is %d outside\n", r.ContainerID, r.HostID)
			continue
		}
		fmt.Fprintf(w, " %d-%d are %d-%d outside\n", r.ContainerID, r.ContainerID+r.Size-1, r.HostID, r.HostID+r.Size-1)
	}
}
