package cli

import (
	"github.com/skiff-containers/skiff/registry"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pullFlags are those of every command that may pull.
type pullFlags struct {
	quiet     bool
	progress  string
	tlsVerify bool
}

func (f *pullFlags) add(flags *pflag.FlagSet, quiet string) {
	flags.BoolVarP(&f.quiet, "quiet", "q", false, quiet)
	f.progress = "auto"
	flags.Var(choice{&f.progress, progressKinds()}, "progress", "Set type of progress output ("+quoted(progressKinds())+")")
	flags.BoolVar(&f.tlsVerify, "tls-verify", true, "Require HTTPS and verify the registry's certificate")
}

func (f *pullFlags) complete(cmd *cobra.Command) {
	completeFlag(cmd, "progress", progressKinds()...)
	completeFlag(cmd, "tls-verify", "true", "false")
}

// start returns what tells the user of a pull, and the function that ends it.
func (f *pullFlags) start(s *streams) (registry.Progress, func()) {
	if f.quiet {
		return silence{}, func() {}
	}
	return newProgress(f.progress, s)
}
