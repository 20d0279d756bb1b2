package cli

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// portsColumn is a running container's ports as Docker shows them: those that the
// host has at the same number and those only exposed, with successive ones joined, then the others:
// "90-92/tcp, 0.0.0.0:7000-7001->7000-7001/tcp, 0.0.0.0:8080->80/tcp".
func portsColumn(c run.Summary) string {
	if !c.State.Alive() || !netns.Mode(c.Record.HostConfig.NetworkMode).Served() {
		return ""
	}
	published := map[string]bool{}
	for _, p := range c.Ports {
		published[netns.PortKey(p.ContainerPort, p.Protocol)] = true
	}
	all := slices.Clone(c.Ports)
	for key := range c.Record.Config.ExposedPorts {
		if port, protocol, err := netns.ParsePortKey(key); err == nil && !published[netns.PortKey(port, protocol)] {
			all = append(all, store.Port{ContainerPort: port, Protocol: protocol})
		}
	}
	netns.SortPorts(all)
	return joinPorts(all)
}

// portGroup is successive ports that the host has, or does not have, in one place.
type portGroup struct {
	ip, protocol string
	first, last  uint16
}

func (g *portGroup) String() string {
	numbers := fmt.Sprint(g.first)
	if g.last > g.first {
		numbers += fmt.Sprintf("-%d", g.last)
	}
	if g.ip != "" {
		numbers = net.JoinHostPort(g.ip, numbers) + "->" + numbers
	}
	return numbers + "/" + g.protocol
}

func joinPorts(ports []store.Port) string {
	var words, others []string
	var open []*portGroup
	for _, p := range ports {
		if p.HostIP != "" && p.HostPort != p.ContainerPort {
			others = append(others, hostPort(p)+"->"+netns.PortKey(p.ContainerPort, p.Protocol))
			continue
		}
		i := slices.IndexFunc(open, func(g *portGroup) bool { return g.ip == p.HostIP && g.protocol == p.Protocol })
		switch {
		case i < 0:
			open = append(open, &portGroup{p.HostIP, p.Protocol, p.ContainerPort, p.ContainerPort})
		case p.ContainerPort == open[i].last+1:
			open[i].last = p.ContainerPort
		case p.ContainerPort != open[i].last:
			words = append(words, open[i].String())
			open[i].first, open[i].last = p.ContainerPort, p.ContainerPort
		}
	}
	for _, g := range open {
		words = append(words, g.String())
	}
	return strings.Join(append(words, others...), ", ")
}
