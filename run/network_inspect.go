package run

import (
	"context"
	"net/netip"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// NetworkInspect describes a network. It wraps store.ErrNoNetwork.
func (e *Engine) NetworkInspect(ctx context.Context, ref string) (*NetworkInspect, error) {
	defer e.tidy()()
	for _, m := range modeNetworks {
		if s := modeSummary(m); ref == s.Name || ref == s.ID || len(ref) >= 12 && len(ref) < 64 && s.ID[:len(ref)] == ref {
			i := inspectNetwork(s)
			members, err := e.modeMembers(m)
			i.Containers = members
			return i, err
		}
	}
	name, err := findNetwork(e.Store, ref)
	if err != nil {
		return nil, err
	}
	n, err := netns.Network(e.Store, name)
	if err != nil {
		return nil, err
	}
	i := inspectNetwork(summaryOf(n))
	i.Created, i.DNSEnabled = stamp(n.Created), !n.DisableDNS
	for key, value := range n.Options {
		i.Options[key] = value
	}
	for key, value := range n.Labels {
		i.Labels[key] = value
	}
	for _, sub := range n.Subnets {
		i.IPAM.Config = append(i.IPAM.Config, poolOf(sub))
	}
	i.Containers, err = e.members(n)
	return i, err
}

func inspectNetwork(s NetworkSummary) *NetworkInspect {
	return &NetworkInspect{
		Name: s.Name, ID: s.ID, Created: stamp(s.Created), Scope: s.Scope, Driver: s.Driver,
		EnableIPv4: s.EnableIPv4, EnableIPv6: s.EnableIPv6, Internal: s.Internal,
		IPAM:       NetworkIPAM{Driver: "default", Options: map[string]string{}, Config: []NetworkPool{}},
		Containers: map[string]NetworkMember{}, Options: map[string]string{}, Labels: map[string]string{},
	}
}

func poolOf(sub store.Subnet) NetworkPool {
	p := NetworkPool{Subnet: sub.Subnet.String(), IPRange: prefixText(sub.Range)}
	if sub.Gateway.IsValid() {
		p.Gateway = sub.Gateway.String()
	}
	for name, addr := range sub.Auxiliary {
		if p.AuxiliaryAddresses == nil {
			p.AuxiliaryAddresses = map[string]string{}
		}
		p.AuxiliaryAddresses[name] = addr.String()
	}
	return p
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// members are the running containers of a network, found by its leases.
func (e *Engine) members(n *store.Network) (map[string]NetworkMember, error) {
	leases, err := e.Store.Leases(n.Name)
	if err != nil {
		return nil, err
	}
	all := map[string]NetworkMember{}
	for _, id := range leases {
		c, err := e.Store.Find(id)
		if err != nil || len(id) != 64 {
			continue // a lease that a killed process left
		}
		if a := e.attachment(c); a != nil {
			for _, endpoint := range a.Endpoints {
				if endpoint.NetworkID == n.ID {
					all[c.ID] = NetworkMember{Name: a.Name, EndpointID: endpoint.ID, MacAddress: endpoint.MAC,
						IPv4Address: prefixText(endpoint.IPv4), IPv6Address: prefixText(endpoint.IPv6)}
				}
			}
		}
	}
	return all, nil
}

// attachment is the place in its networks of a container that runs; nil for another.
func (e *Engine) attachment(c *store.Container) *store.Attachment {
	state, err := c.State()
	if err != nil || !state.Alive() {
		return nil
	}
	a, err := store.ReadAttachment(c.Dir)
	if err != nil {
		return nil // being removed
	}
	return a
}

// modeMembers are the running containers that have a mode in place of networks.
func (e *Engine) modeMembers(m netns.Mode) (map[string]NetworkMember, error) {
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	members := map[string]NetworkMember{}
	for _, c := range all {
		r, err := c.Record()
		if err != nil || netns.Mode(r.HostConfig.NetworkMode) != m {
			continue
		}
		if state, err := c.State(); err == nil && state.Alive() {
			members[c.ID] = NetworkMember{Name: r.Name}
		}
	}
	return members, nil
}
