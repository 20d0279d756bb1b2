package cli

import "github.com/spf13/cobra"

func newNetworkInspect(p *program) *cobra.Command {
	o := inspectOptions{kind: "network"}
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] NETWORK [NETWORK...]",
		Short: "Display detailed information on one or more networks",
		Example: `  skiff network inspect bridge
  skiff network inspect -f '{{(index .IPAM.Config 0).Subnet}}' backend`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeNetworks(0, true),
	}
	o.add(p, cmd)
	return cmd
}
