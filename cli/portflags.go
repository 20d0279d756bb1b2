package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addPorts: which of its ports the host has.
func (c *containerFlags) addPorts(flags *pflag.FlagSet) {
	listVar(flags, &c.Expose, "expose", "", "Expose a port or a range of ports")
	listVar(flags, &c.Publish, "publish", "p", "Publish a container's port(s) to the host")
	flags.BoolVarP(&c.PublishAll, "publish-all", "P", false, "Publish all exposed ports to random ports")
}

func (c *containerFlags) completePorts(cmd *cobra.Command) {
	completeFlag(cmd, "expose")
	completeFlag(cmd, "publish")
}
