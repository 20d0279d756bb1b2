package cli

import (
	"github.com/skiff-containers/skiff/netns"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addNetwork: how it is connected.
func (c *containerFlags) addNetwork(flags *pflag.FlagSet) {
	n := &c.Network
	flags.Var(namedList{list{&n.Networks}, "network"}, "network", "Connect a container to a network")
	alias(flags, "net", "network")
	addPlace(flags, n)
	flags.StringVar(&n.MAC, "mac-address", "", "Container MAC address (e.g., 92:d0:c6:0a:29:33)")
	listVar(flags, &n.Aliases, "network-alias", "", "Add network-scoped alias for the container")
	alias(flags, "net-alias", "network-alias")
	listVar(flags, &n.Hosts, "add-host", "", "Add a custom host-to-IP mapping (host:ip)")
	listVar(flags, &n.DNS, "dns", "", "Set custom DNS servers")
	listVar(flags, &n.DNSOptions, "dns-option", "", "Set DNS options")
	alias(flags, "dns-opt", "dns-option")
	listVar(flags, &n.DNSSearch, "dns-search", "", "Set custom DNS search domains")
	flags.Var(namedList{list{&n.Sysctls}, "map"}, "sysctl", "Sysctl options")
}

// addPlace are the flags of one network's place that run and network connect share.
func addPlace(flags *pflag.FlagSet, n *netns.Options) {
	flags.StringVar(&n.IPv4, "ip", "", "IPv4 address (e.g., 172.30.100.104)")
	flags.StringVar(&n.IPv6, "ip6", "", "IPv6 address (e.g., 2001:db8::33)")
	listVar(flags, &n.Links, "link", "", "Add link to another container")
	listVar(flags, &n.LinkLocalIPs, "link-local-ip", "", "Container IPv4/IPv6 link-local addresses")
}

// alias makes a further name for a flag that help does not show.
func alias(flags *pflag.FlagSet, name, of string) {
	f := flags.Lookup(of)
	flags.Var(f.Value, name, f.Usage)
	flags.Lookup(name).Hidden = true
}

func (c *containerFlags) completeNetwork(p *program, cmd *cobra.Command) {
	must(cmd.RegisterFlagCompletionFunc("network", func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		found := p.networks(cmd.Context(), nil, true)
		if len(found) == 0 {
			found = []string{"bridge", "host", "none"} // there is no store yet
		}
		return p.orContainer(cmd.Context(), word, append(found, "pasta", "slirp4netns"))
	}))
	for _, name := range []string{"ip", "ip6", "mac-address", "network-alias", "add-host", "dns", "dns-option", "dns-search", "link-local-ip", "sysctl"} {
		completeFlag(cmd, name)
	}
	must(cmd.RegisterFlagCompletionFunc("link", p.completeContainers(0)))
}
