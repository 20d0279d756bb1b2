package netns

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/skiff-containers/skiff/store"
)

// PortBindings is ports as a record keeps them, in Docker's shape, by container port.
func PortBindings(ports []store.Port) map[string][]store.PortBinding {
	bindings := map[string][]store.PortBinding{}
	for _, p := range ports {
		host := ""
		if p.HostPort != 0 {
			host = strconv.Itoa(int(p.HostPort))
		}
		if p.HostPortEnd != 0 {
			host += "-" + strconv.Itoa(int(p.HostPortEnd))
		}
		key := PortKey(p.ContainerPort, p.Protocol)
		bindings[key] = append(bindings[key], store.PortBinding{HostIp: p.HostIP, HostPort: host})
	}
	return bindings
}

// PortsOf are the ports that a container asks to be published: those it was told
// and, with PublishAllPorts, each other one that it exposes at a free port. They are in the order of the
// container's ports, and empty without networks of its own.
func PortsOf(r *store.Record) []store.Port {
	if !Mode(r.HostConfig.NetworkMode).Served() {
		return nil
	}
	var ports []store.Port
	for key, bindings := range r.HostConfig.PortBindings {
		port, protocol, err := ParsePortKey(key)
		if err != nil {
			continue // a record of another skiff's
		}
		for _, b := range bindings {
			p := store.Port{HostIP: b.HostIp, ContainerPort: port, Protocol: protocol}
			if first, last, err := parseRange(b.HostPort); err == nil {
				p.HostPort = uint16(first)
				if last > first {
					p.HostPortEnd = uint16(last)
				}
			}
			ports = append(ports, p)
		}
	}
	if r.HostConfig.PublishAllPorts {
		for key := range r.Config.ExposedPorts {
			port, protocol, err := ParsePortKey(key)
			if err != nil || protocol == "sctp" || len(r.HostConfig.PortBindings[PortKey(port, protocol)]) > 0 {
				continue
			}
			ports = append(ports, store.Port{ContainerPort: port, Protocol: protocol})
		}
	}
	SortPorts(ports)
	return ports
}

// SortPorts puts ports in the order of the container's, then of the host's addresses.
func SortPorts(ports []store.Port) { slices.SortStableFunc(ports, comparePorts) }

func comparePorts(a, b store.Port) int {
	return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
}
