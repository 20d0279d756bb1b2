package cli

import (
	"errors"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// platformParts are podman's --os, --arch and --variant, which --platform says in one.
type platformParts struct{ os, arch, variant string }

func (p *platformParts) add(flags *pflag.FlagSet) {
	flags.StringVar(&p.os, "os", "", "Take the image for this operating system")
	flags.StringVar(&p.arch, "arch", "", "Take the image for this architecture")
	flags.StringVar(&p.variant, "variant", "", "Take the image for this variant of the architecture")
}

func (p *platformParts) complete(cmd *cobra.Command) {
	completeFlag(cmd, "os", "linux")
	completeFlag(cmd, "arch", "amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x")
	completeFlag(cmd, "variant", "v5", "v6", "v7", "v8")
}

var errTwoPlatforms = errors.New("conflicting options: --platform, and --os, --arch or --variant")

// over returns the platform that the parts name, or the one given where they name none.
func (p *platformParts) over(cmd *cobra.Command, platform string) (string, error) {
	if p.os+p.arch+p.variant == "" {
		return platform, nil
	}
	if cmd.Flags().Changed("platform") {
		return "", errTwoPlatforms
	}
	os, arch := p.os, p.arch
	if os == "" {
		os = "linux"
	}
	if arch == "" {
		arch = runtime.GOARCH
	}
	if p.variant != "" {
		arch += "/" + p.variant
	}
	return os + "/" + arch, nil
}
