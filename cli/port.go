package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newPort(p *program) *cobra.Command {
	chosen := selection{most: 1}
	cmd := &cobra.Command{
		Use:         "port CONTAINER [PRIVATE_PORT[/PROTO]]",
		Short:       "List port mappings or a specific mapping for the container",
		Annotations: aliases("skiff container port, skiff port"),
		Example: `  skiff port web
  curl http://$(skiff port web 80 | head -n 1)/`,
		Args: func(cmd *cobra.Command, args []string) error {
			if chosen.empty() {
				return rangeArgs(1, 2)(cmd, args)
			}
			return chosen.operands(cmd, args)
		},
		ValidArgsFunction: p.completePort,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			if chosen.empty() {
				return runPort(cmd.Context(), e, p.streams, args)
			}
			names, err := chosen.names(cmd.Context(), e, args, alive)
			if err != nil {
				return err
			}
			return runPorts(cmd.Context(), e, p.streams, names)
		},
	}
	chosen.addAll(cmd, "a", "Display the ports of all containers")
	chosen.addLatest(cmd, "l")
	return cmd
}

// runPorts lists the ports of several containers, each line with the container's id.
func runPorts(ctx context.Context, e *run.Engine, s *streams, ids []string) error {
	for _, id := range ids {
		ports, err := e.Ports(ctx, id)
		if err != nil {
			return err
		}
		for _, b := range ports {
			if _, err := fmt.Fprintf(s.data(), "%s\t%s -> %s\n", shortID(id), netns.PortKey(b.ContainerPort, b.Protocol), hostPort(b)); err != nil {
				return err
			}
		}
	}
	return nil
}

func runPort(ctx context.Context, e *run.Engine, s *streams, args []string) error {
	if len(args) == 1 {
		ports, err := e.Ports(ctx, args[0])
		for _, b := range ports {
			if err == nil {
				_, err = fmt.Fprintf(s.data(), "%s -> %s\n", netns.PortKey(b.ContainerPort, b.Protocol), hostPort(b))
			}
		}
		return err
	}
	port, protocol, err := netns.ParsePortKey(args[1])
	if err != nil {
		return err
	}
	ports, err := e.Ports(ctx, args[0])
	if err != nil {
		return err
	}
	found := false
	for _, b := range ports {
		if b.ContainerPort == port && b.Protocol == protocol {
			found = true
			if _, err := fmt.Fprintln(s.data(), hostPort(b)); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("no public port '%s' published for %s", args[1], args[0])
	}
	return nil
}

func hostPort(p store.Port) string {
	return net.JoinHostPort(p.HostIP, strconv.Itoa(int(p.HostPort)))
}

// completePort offers running containers, then the ports that the named one has published.
func (p *program) completePort(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return p.completeContainers(1, store.Running)(cmd, args, word)
	case 1:
		if e, err := p.engine(); err == nil {
			ports, _ := e.Ports(cmd.Context(), args[0])
			return portKeys(ports), cobra.ShellCompDirectiveNoFileComp
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// portKeys are the container's sides of ports, each once.
func portKeys(ports []store.Port) []string {
	var keys []string
	for _, b := range ports { // both families follow each other
		if key := netns.PortKey(b.ContainerPort, b.Protocol); len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
	}
	return keys
}
