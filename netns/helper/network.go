package helper

import (
	"fmt"
	"net/netip"

	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/link"
	"github.com/skiff-containers/skiff/store"
)

// network is one whose bridge is there.
type network struct {
	*store.Network
	bridge string
}

// ensureNetwork makes a network's interfaces, rules and name servers, unless they
// are there for the very same network.
func (h *helper) ensureNetwork(n *store.Network) error {
	h.networks.Lock()
	defer h.networks.Unlock()
	return h.ensureLocked(n)
}

func (h *helper) ensureLocked(n *store.Network) error {
	if have := h.known[n.Name]; have != nil {
		if have.ID == n.ID {
			return nil
		}
		h.forgetNetwork(have) // removed and made anew under the same name
	}
	if n.Driver == "macvlan" {
		return h.ensureMacvlan(n)
	}
	bridge, err := h.links.EnsureNetwork(n)
	if err != nil {
		return err
	}
	if err := h.setRules(n, bridge); err != nil {
		return err
	}
	if n.Driver == "overlay" {
		if err := h.joinOverlay(n); err != nil {
			return err
		}
	}
	if err := h.serveNames(n); err != nil {
		return err
	}
	h.known[n.Name] = &network{n, bridge}
	return nil
}

// setRules has the firewall know a network with a bridge, and the macvlan networks on it.
func (h *helper) setRules(n *store.Network, bridge string) error {
	rules := firewall.Network{Bridge: bridge, Gateways: gateways(n), Internal: n.Internal,
		Open: n.Options["isolate"] == "false", Separate: n.Options["com.docker.network.bridge.enable_icc"] == "false"}
	for _, other := range h.known {
		if other.bridge == bridge && other.ID != n.ID {
			rules.Gateways = append(rules.Gateways, gateways(other.Network)...)
		}
	}
	if err := h.firewall.Network(rules); err != nil {
		return fmt.Errorf("making the rules of network %q: %w", n.Name, err)
	}
	return nil
}

func (h *helper) serveNames(n *store.Network) error {
	for _, gateway := range gateways(n) {
		if err := h.dns.Listen(gateway); err != nil {
			return fmt.Errorf("serving names for network %q: %w", n.Name, err)
		}
	}
	return nil
}

// forgetNetwork takes a network away. The caller holds h.networks.
func (h *helper) forgetNetwork(n *network) {
	delete(h.known, n.Name)
	for _, gateway := range gateways(n.Network) {
		h.dns.Unlisten(gateway)
	}
	if n.Driver == "overlay" {
		h.leaveOverlay(n.Network)
	}
	if err := h.forgetRules(n); err != nil {
		h.logf("forgetting network %q: %v", n.Name, err)
	}
	if err := h.links.Forget(n.Network); err != nil {
		h.logf("forgetting network %q: %v", n.Name, err)
	}
}

// forgetRules leaves those of the bridge that a macvlan network lies on.
func (h *helper) forgetRules(n *network) error {
	if n.Driver != "macvlan" {
		return h.firewall.Forget(n.bridge)
	}
	if parent := h.known[n.Options["parent"]]; parent != nil {
		return h.setRules(parent.Network, parent.bridge)
	}
	return nil
}

func (h *helper) serveForget(name string) {
	h.networks.Lock()
	defer h.networks.Unlock()
	if n := h.known[name]; n != nil {
		h.forgetNetwork(n)
	}
}

func gateways(n *store.Network) []netip.Addr {
	var all []netip.Addr
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() {
			all = append(all, s.Gateway)
		}
	}
	return all
}

// sweep takes away what an earlier helper has left for containers that ended while
// no helper was there, once the shims have had the time to attach theirs again.
func (h *helper) sweep() {
	h.networks.Lock()
	defer h.networks.Unlock()
	needed := map[string]bool{}
	for _, n := range h.known {
		needed[n.bridge] = true
		needed[link.Uplink(n.Network)] = true // which only an overlay network has
	}
	h.mu.Lock()
	for _, a := range h.attached {
		if m := a.member.Load(); m != nil {
			for i := range m.Attachment.Endpoints {
				needed[link.Port(&m.Attachment.Endpoints[i])] = true
			}
		}
	}
	h.mu.Unlock()
	keep := func(name string) bool { return needed[name] }
	if err := h.firewall.Sweep(keep); err != nil {
		h.logf("clearing away rules: %v", err)
	}
	if err := h.links.Sweep(keep); err != nil {
		h.logf("clearing away interfaces: %v", err)
	}
}
