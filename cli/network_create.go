package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type networkCreateFlags struct {
	run.NetworkCreateOptions
	ipv4 bool
	mute muteNetworkFlags
}

// muteNetworkFlags are Docker's that mean something to a swarm or to plugins only:
// they are known, and refused with the reason where they ask for what is not so
// anyway. --attachable is: any container can join any network.
type muteNetworkFlags struct {
	attachable, configOnly, ingress bool
	configFrom, scope, ipam         string
	ipamOpts                        []string
}

func newNetworkCreate(p *program) *cobra.Command {
	var o networkCreateFlags
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] NETWORK",
		Short: "Create a network",
		Example: `  skiff network create backend
  skiff network create --subnet 10.77.0.0/24 --gateway 10.77.0.254 --ipv6 lab
  skiff network create --internal --label team=db store
  skiff network create -d macvlan -o parent=lab plugged
  skiff network create -d overlay -o peers=192.0.2.8 --subnet 10.44.0.0/16 wide`,
		Args:              exactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name, o.NoIPv4 = args[0], !o.ipv4
			if err := o.refuse(); err != nil {
				return err
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runNetworkCreate(cmd.Context(), e, p.streams, &o.NetworkCreateOptions)
		},
	}
	o.add(cmd.Flags())
	completeFlag(cmd, "driver", "bridge", "macvlan", "overlay")
	completeFlag(cmd, "opt", "com.docker.network.driver.mtu=", "isolate=", "com.docker.network.bridge.enable_icc=", "host_loopback=", "parent=", "peers=", "vni=", "port=")
	completeRefused(cmd)
	for _, name := range []string{"subnet", "gateway", "ip-range", "aux-address", "label"} {
		completeFlag(cmd, name)
	}
	return cmd
}

func (o *networkCreateFlags) add(flags *pflag.FlagSet) {
	flags.Var(namedList{list{&o.Auxiliary}, "map"}, "aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver")
	flags.BoolVar(&o.NoDNS, "disable-dns", false, "Do not resolve the names of its containers")
	flags.StringVarP(&o.Driver, "driver", "d", "bridge", "Driver to manage the Network")
	flags.StringSliceVar(&o.Gateways, "gateway", nil, "IPv4 or IPv6 Gateway for the master subnet")
	flags.BoolVar(&o.Ignore, "ignore", false, "Do not fail if a network with the given name already exists")
	flags.BoolVar(&o.Internal, "internal", false, "Restrict external access to the network")
	flags.StringSliceVar(&o.Ranges, "ip-range", nil, "Allocate container ip from a sub-range")
	flags.BoolVar(&o.ipv4, "ipv4", true, "Enable or disable IPv4 address assignment")
	flags.BoolVar(&o.IPv6, "ipv6", false, "Enable or disable IPv6 address assignment")
	listVar(flags, &o.LabelSpecs, "label", "", "Set metadata on a network")
	flags.VarP(namedList{list{&o.Options}, "map"}, "opt", "o", "Set driver specific options")
	flags.StringSliceVar(&o.Subnets, "subnet", nil, "Subnet in CIDR format that represents a network segment")

	refuseHidden(flags, "dns", "strings", "servers for names are those of each container, and the host's, as they change", "say --dns to skiff run")
	refuseHidden(flags, "interface-name", "string", "a bridge of the user's own network namespace needs no name of the user's", "")
	refuseHidden(flags, "route", "strings", "a network's containers reach others by its gateway alone", "")

	m := &o.mute
	flags.BoolVar(&m.attachable, "attachable", false, "Enable manual container attachment")
	flags.StringVar(&m.configFrom, "config-from", "", "The network from which to copy the configuration")
	flags.BoolVar(&m.configOnly, "config-only", false, "Create a configuration only network")
	flags.BoolVar(&m.ingress, "ingress", false, "Create swarm routing-mesh network")
	flags.StringVar(&m.ipam, "ipam-driver", "default", "IP Address Management Driver")
	flags.Var(namedList{list{&m.ipamOpts}, "map"}, "ipam-opt", "Set IPAM driver specific options")
	flags.StringVar(&m.scope, "scope", "", "Control the network's scope")
	for _, name := range []string{"attachable", "config-from", "config-only", "ingress", "ipam-driver", "ipam-opt", "scope"} {
		flags.Lookup(name).Hidden = true
	}
}

// refuse says why what cannot be had is not there.
func (o *networkCreateFlags) refuse() error {
	m := &o.mute
	switch {
	case m.ingress, m.scope != "" && m.scope != "local":
		return errors.New("--ingress and --scope are for networks of a swarm: skiff's belong to one machine")
	case m.configOnly, m.configFrom != "":
		return errors.New("--config-only and --config-from are for networks of a swarm: skiff's belong to one machine")
	case m.ipam != "default" || len(m.ipamOpts) > 0:
		return errors.New("skiff gives out addresses itself: there is no other --ipam-driver, and none of --ipam-opt")
	}
	return nil
}

func runNetworkCreate(ctx context.Context, e *run.Engine, s *streams, o *run.NetworkCreateOptions) error {
	id, err := e.NetworkCreate(ctx, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.data(), id)
	return err
}
