package cli

import (
	"os"
	"os/user"
	"strconv"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRuntimeCreate(f *runtimeFlags) *cobra.Command {
	var o ociruntime.CreateOptions
	cmd := &cobra.Command{
		Use:     "create [OPTIONS] CONTAINER",
		Short:   "Create a container from a bundle, without starting it",
		Example: `  skiff runtime create --bundle ./bundle --pid-file pid test`,
		Args:    exactArgs(1),
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			o.ID, o.Owner, o.Stdio = args[0], callerName(), f.processStdio()
			return r.Create(&o)
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addRuntimeCreate(cmd.Flags(), &o)
	return cmd
}

// callerName is who a container belongs to.
func callerName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

// addRuntimeCreate are the flags of create and run.
func addRuntimeCreate(flags *pflag.FlagSet, o *ociruntime.CreateOptions) {
	flags.StringVarP(&o.Bundle, "bundle", "b", ".", "Folder with config.json and the root file system")
	addRuntimeProcess(flags, &o.ProcessOptions)
	flags.BoolVar(&o.NoPivot, "no-pivot", false, "Change the root without pivot_root, for hosts that run from an initial RAM file system")
	flags.BoolVar(&o.NoNewKeyring, "no-new-keyring", false, "Keep the caller's session keyring")
}

// addRuntimeProcess are the flags of create, run and exec.
func addRuntimeProcess(flags *pflag.FlagSet, o *ociruntime.ProcessOptions) {
	flags.StringVar(&o.PIDFile, "pid-file", "", "Write the id of the process to this file")
	flags.StringVar(&o.ConsoleSocket, "console-socket", "", "Send the master of the process's terminal to this unix socket")
	flags.IntVar(&o.Preserve, "preserve-fds", ociruntime.ListenDescriptors(), "Pass so many descriptors on, from 3 up")
}
