package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addShared: which namespaces the container shares, and what else it has of others.
func (c *containerFlags) addShared(flags *pflag.FlagSet) {
	flags.Var(namedList{list{&c.Annotations}, "map"}, "annotation", "Add an annotation to the container (passed through to the OCI runtime)")
	flags.StringVar(&c.Cgroupns, "cgroupns", "", `Cgroup namespace to use (host|private)`)
	listVar(flags, &c.CDISpecDirs, "cdi-spec-dir", "", "Folder of CDI files (default /etc/cdi and /var/run/cdi)")
	flags.Var(namedList{list{&c.GPUs}, "gpu-request"}, "gpus", "GPU devices to add to the container ('all' to pass all GPUs)")
	flags.StringVar(&c.IPC, "ipc", "", "IPC mode to use")
	flags.StringVar(&c.Isolation, "isolation", "", "Container isolation technology")
	flags.IntVar(&c.OOMScoreAdj, "oom-score-adj", 0, "Tune host's OOM preferences (-1000 to 1000)")
	flags.StringVar(&c.PID, "pid", "", "PID namespace to use")
	listVar(flags, &c.StorageOpts, "storage-opt", "", "Storage driver options for the container")
	flags.StringVar(&c.UTS, "uts", "", "UTS namespace to use")
	flags.StringVar(&c.VolumeDriver, "volume-driver", "", "Optional volume driver for the container")
	listVar(flags, &c.VolumesFrom, "volumes-from", "", "Mount volumes from the specified container(s)")
	flags.BoolVar(&c.Rootfs, "rootfs", false, "The image is a folder that holds a root file system, FOLDER[:O]")
	flags.BoolVar(&c.Replace, "replace", false, "Remove the container that has the name, should there be one")
	flags.StringSliceVar(&c.Requires, "requires", nil, "Start these containers first")
}

func (c *containerFlags) completeShared(p *program, cmd *cobra.Command) {
	sharing := func(flag string, words ...string) {
		must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			return p.orContainer(cmd.Context(), word, words)
		}))
	}
	sharing("ipc", "host", "none", "private", "shareable")
	sharing("pid", "host", "private")
	completeFlag(cmd, "uts", "host", "private")
	completeFlag(cmd, "cgroupns", "host", "private")
	completeFlag(cmd, "isolation", "default")
	completeFlag(cmd, "gpus", "all", "device=")
	completeFlag(cmd, "volume-driver", "local")
	for _, name := range []string{"annotation", "domainname", "oom-score-adj", "storage-opt"} {
		completeFlag(cmd, name)
	}
	must(cmd.RegisterFlagCompletionFunc("volumes-from", p.completeContainers(0)))
	must(cmd.RegisterFlagCompletionFunc("requires", p.completeContainers(0)))
}
