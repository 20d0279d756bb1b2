package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// errNotConnected: the container is not in that network.
var errNotConnected = errors.New("container is not connected to the network")

// NetworkDisconnect takes a container out of a network, at once where it runs. With
// force the network need not exist any longer.
func (e *Engine) NetworkDisconnect(ctx context.Context, network, container string, force bool) error {
	defer e.tidy()()
	for _, m := range modeNetworks {
		if network == string(m) {
			return errHostNetwork
		}
	}
	name, err := findNetwork(e.Store, network)
	if errors.Is(err, store.ErrNoNetwork) && force {
		name, err = network, nil
	}
	if err != nil {
		return err
	}
	if _, r, err := e.find(container); err == nil && force && !netns.Mode(r.HostConfig.NetworkMode).Networks() {
		return errNotConnected
	}
	here := func(w store.EndpointConfig) bool { return w.Network == name }
	err = e.changeNetworks(container, name, func(r *store.Record, wanted []store.EndpointConfig) ([]store.EndpointConfig, error) {
		if !slices.ContainsFunc(wanted, here) {
			return nil, fmt.Errorf("%w: container %s is not connected to network %s", errNotConnected, r.Name, name)
		}
		return slices.DeleteFunc(slices.Clone(wanted), here), nil
	}, func(a *store.Attachment) error {
		netns.Depart(e.Store, a, name)
		return nil
	})
	if err == nil {
		e.emitMember("disconnect", name, container)
	}
	return err
}
