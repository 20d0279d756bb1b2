package run

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// NetworkRemove removes a network that no running container is in; with force,
// containers are disconnected first. It wraps store.ErrNoNetwork.
func (e *Engine) NetworkRemove(ctx context.Context, ref string, force bool) error {
	defer e.tidy()()
	for _, m := range append(modeNetworks[:], netns.Bridge) {
		if ref == string(m) {
			return fmt.Errorf("%s is a pre-defined network and cannot be removed", ref)
		}
	}
	name, err := findNetwork(e.Store, ref)
	if err != nil {
		return err
	}
	if force {
		if err := e.disconnectAll(ctx, name); err != nil {
			return err
		}
	}
	return e.removeNetwork(name)
}

// removeNetwork removes a network unless a container has an address of it.
func (e *Engine) removeNetwork(name string) error {
	lock, err := e.Store.Lock(netns.NetworksLock)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	all, err := e.Store.Networks()
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.Driver == "macvlan" && n.Options["parent"] == name {
			return fmt.Errorf("removing network %q: network %q lies on it", name, n.Name)
		}
	}
	if err := e.refuseUsed(name); err != nil {
		return err
	}
	// Between that look and this line somebody may have leased an address.
	leases, open, err := e.Store.SealNetwork(name)
	if err != nil {
		return err
	}
	if len(leases) > 0 {
		return errors.Join(activeEndpoints(name, nil), open())
	}
	if err := e.Store.RemoveNetwork(name); err != nil {
		return err
	}
	for _, n := range all {
		if n.Name == name {
			e.emitNetwork("destroy", n, "")
		}
	}
	conn, err := client.Dial(e.Store)
	if errors.Is(err, client.ErrNoHelper) {
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Forget(name); err != nil && !errors.Is(err, client.ErrHelperDied) {
		return fmt.Errorf("removing the interfaces of network %q: %w", name, err)
	}
	return nil
}

// refuseUsed refuses where a container that runs or starts has an address. Leases
// that somebody left are given back.
func (e *Engine) refuseUsed(name string) error {
	leases, err := e.Store.Leases(name)
	if errors.Is(err, store.ErrNoNetwork) {
		return nil // sealed by one that died: SealNetwork goes on with that
	}
	if err != nil {
		return err
	}
	var users []string
	for addr, holder := range leases {
		free, err := e.Store.Reclaim(name, addr)
		if err != nil {
			return err
		}
		if !free {
			users = append(users, e.endpointText(holder, addr))
		}
	}
	if len(users) == 0 {
		return nil
	}
	slices.Sort(users)
	return activeEndpoints(name, users)
}

// endpointText names who has an address, as Docker does: (name:"web" id:"0123456789ab").
func (e *Engine) endpointText(holder string, addr netip.Addr) string {
	name := addr.String()
	if c, err := e.Store.Find(holder); err == nil {
		if r, err := c.Record(); err == nil {
			name = r.Name
		}
	}
	return fmt.Sprintf("name:%q id:%q", name, holder[:min(12, len(holder))])
}

func activeEndpoints(name string, users []string) error {
	what := fmt.Sprintf("network %s has active endpoints", name)
	if len(users) > 0 {
		what += " (" + strings.Join(slices.Compact(users), ", ") + ")"
	}
	return &userns.HostError{What: what, Hint: "stop the containers, or disconnect them by skiff network disconnect or skiff network rm -f"}
}

// disconnectAll takes a network from all containers that are or would be in it.
func (e *Engine) disconnectAll(ctx context.Context, name string) error {
	all, err := e.Store.Containers()
	if err != nil {
		return err
	}
	for _, c := range all {
		err := e.NetworkDisconnect(ctx, name, c.ID, true)
		if err != nil && !errors.Is(err, errNotConnected) && !errors.Is(err, store.ErrNoContainer) && !errors.Is(err, store.ErrDamaged) {
			return err
		}
	}
	return nil
}
