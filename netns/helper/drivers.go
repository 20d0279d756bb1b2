package helper

import (
	"fmt"

	"github.com/skiff-containers/skiff/netns/helper/link"
	"github.com/skiff-containers/skiff/netns/helper/overlay"
	"github.com/skiff-containers/skiff/store"
)

// ensureMacvlan puts a macvlan network on the wire of its parent, a network with a
// bridge, whose rules then know N's addresses in both. The caller holds h.networks.
func (h *helper) ensureMacvlan(n *store.Network) error {
	parent, err := h.store.Network(n.Options["parent"])
	if err != nil {
		return fmt.Errorf("making network %q: finding its parent: %w", n.Name, err)
	}
	if err := h.ensureLocked(parent); err != nil {
		return err
	}
	bridge, err := h.links.EnsureMacvlan(n, parent)
	if err != nil {
		return err
	}
	h.known[n.Name] = &network{n, bridge}
	err = h.setRules(parent, bridge)
	if err == nil {
		err = h.serveNames(n)
	}
	if err != nil {
		h.forgetNetwork(h.known[n.Name])
	}
	return err
}

// joinOverlay connects a network's bridge with the other hosts. The caller holds h.networks.
func (h *helper) joinOverlay(n *store.Network) error {
	if h.overlay == nil {
		relay, err := overlay.Start(overlay.Config{N: h.space})
		if err != nil {
			return err
		}
		h.overlay = relay
	}
	vni, port, err := overlay.Tunnel(n)
	if err != nil {
		return fmt.Errorf("making network %q: %w", n.Name, err)
	}
	peers, err := h.overlay.Join(n)
	if err != nil {
		return err
	}
	err = h.links.EnsureTunnel(n, link.Tunnel{VNI: vni, Port: port, Local: overlay.Local, Peers: peers})
	if err == nil {
		err = h.firewall.Trunk(link.Uplink(n))
	}
	if err != nil {
		h.overlay.Leave(n)
	}
	return err
}

// leaveOverlay takes away what joinOverlay has made, but for the interface.
func (h *helper) leaveOverlay(n *store.Network) {
	if h.overlay != nil {
		h.overlay.Leave(n)
	}
	if err := h.firewall.Withdraw(link.Uplink(n)); err != nil {
		h.logf("forgetting network %q: %v", n.Name, err)
	}
}
