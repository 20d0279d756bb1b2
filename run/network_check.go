package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/store"
)

// NetworkFinding is one thing that is not as it should be. Mended says that it was
// put right.
type NetworkFinding struct {
	Text   string
	Mended bool
}

// check compares the networks in the store with what the helper has made of them.
type check struct {
	engine   *Engine
	repair   bool
	findings []NetworkFinding
	networks map[string]*store.Network
	running  map[string]*store.Attachment // by container
}

// What goes by itself within this time is no finding: a helper clears away behind
// containers that end, and is itself replaced when it dies.
const (
	checkPatience = 2 * time.Second
	checkPause    = 50 * time.Millisecond
)

// NetworkCheck looks for what killed processes may have left, and with repair mends
// what can be mended without touching a container. Where something is found it looks
// again for a while, as a store is seldom at rest.
func (e *Engine) NetworkCheck(ctx context.Context, repair bool) ([]NetworkFinding, error) {
	defer e.tidy()()
	for end := time.Now().Add(checkPatience); ; {
		late := time.Now().After(end)
		c := &check{engine: e, repair: repair && late, networks: map[string]*store.Network{}, running: map[string]*store.Attachment{}}
		if err := c.all(); err != nil || len(c.findings) == 0 || late {
			return c.findings, err
		}
		if err := pause(ctx, checkPause); err != nil {
			return nil, err
		}
	}
}

func (c *check) all() error {
	all, err := c.engine.Store.Networks()
	if err != nil {
		return err
	}
	for _, n := range all {
		c.networks[n.Name] = n
	}
	if err := c.containers(); err != nil {
		return err
	}
	if err := c.leases(); err != nil {
		return err
	}
	c.routes()
	err = c.helper()
	slices.SortFunc(c.findings, func(a, b NetworkFinding) int { return strings.Compare(a.Text, b.Text) })
	return err
}

func (c *check) find(mended bool, format string, args ...any) {
	c.findings = append(c.findings, NetworkFinding{Text: fmt.Sprintf(format, args...), Mended: mended})
}

// containers finds those that run, and looks whether each has what it needs.
func (c *check) containers() error {
	all, err := c.engine.Store.Containers()
	if err != nil {
		return err
	}
	for _, container := range all {
		a := c.engine.attachment(container)
		if a == nil {
			continue
		}
		r, err := container.Record()
		if err != nil || !netns.Mode(r.HostConfig.NetworkMode).Served() {
			continue // it ended, or the file is an earlier start's
		}
		c.running[container.ID] = a
		for i := range a.Endpoints {
			c.endpoint(a, &a.Endpoints[i])
		}
	}
	return nil
}

// endpoint looks whether a running container's place is its own.
func (c *check) endpoint(a *store.Attachment, e *store.Endpoint) {
	n := c.networks[e.Network]
	if n == nil || n.ID != e.NetworkID {
		c.find(false, "container %q is in network %q, which does not exist any longer", a.Name, e.Network)
		return
	}
	for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
		if !p.IsValid() {
			continue
		}
		switch holder := c.engine.Store.Holder(n.Name, p.Addr()); holder {
		case a.Container:
		case "":
			err := error(nil)
			if c.repair {
				err = c.engine.Store.Lease(n.Name, p.Addr(), a.Container)
			}
			c.find(c.repair && err == nil, "container %q uses %s of network %q, which is not leased to it", a.Name, p.Addr(), n.Name)
		default:
			c.find(false, "container %q uses %s of network %q, which is leased to container %.12s", a.Name, p.Addr(), n.Name, holder)
		}
	}
}

// leases looks for addresses that nobody uses.
func (c *check) leases() error {
	for _, name := range slices.Sorted(maps.Keys(c.networks)) {
		leases, err := c.engine.Store.Leases(name)
		if errors.Is(err, store.ErrNoNetwork) {
			continue // being removed
		}
		if err != nil {
			return err
		}
		for addr, holder := range leases {
			if a := c.running[holder]; a != nil && uses(a, name, addr) {
				continue
			}
			unused, mended, err := c.unused(name, addr, holder)
			if err != nil {
				return err
			}
			if !unused {
				continue
			}
			c.find(mended, "%s of network %q is leased to container %.12s, which does not use it", addr, name, holder)
		}
	}
	return nil
}

// unused looks at a lease whose holder does not seem to use it, with the holder's lock
// where it runs, as it may just be connected or at its end.
func (c *check) unused(network string, addr netip.Addr, holder string) (unused, mended bool, err error) {
	s := c.engine.Store
	if c.running[holder] == nil {
		if unused, err = s.Idle(holder); unused && c.repair {
			mended, err = s.Reclaim(network, addr)
		}
		return unused, mended, err
	}
	container, err := s.Find(holder)
	if err != nil {
		return false, false, nil // it went, and its leases are looked at the next time
	}
	lock, state, err := container.LockChange()
	if err != nil {
		return false, false, nil
	}
	defer lock.Unlock()
	a, err := store.ReadAttachment(container.Dir)
	if err != nil || a == nil || !state.Alive() || uses(a, network, addr) {
		return false, false, err
	}
	if c.repair {
		s.Release(network, addr, holder)
	}
	return true, c.repair, nil
}

func uses(a *store.Attachment, network string, addr netip.Addr) bool {
	return slices.ContainsFunc(a.Endpoints, func(e store.Endpoint) bool {
		return e.Network == network && (e.IPv4.Addr() == addr || e.IPv6.Addr() == addr)
	})
}

// routes tells where the host has got a route, by a VPN perhaps, into a network of skiff's.
func (c *check) routes() {
	for _, name := range slices.Sorted(maps.Keys(c.networks)) {
		for _, text := range netns.Shadowed(c.networks[name]) {
			c.find(false, "%s", text)
		}
	}
}

// helper compares with what the helper says of itself.
func (c *check) helper() error {
	conn, err := client.Dial(c.engine.Store)
	if errors.Is(err, client.ErrNoHelper) {
		if len(c.running) > 0 {
			c.find(false, "no network helper runs, and %d running containers need one", len(c.running))
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	status, err := conn.Status()
	if err != nil {
		return err
	}
	attached := map[string]bool{}
	for _, a := range status.Containers {
		attached[a.ID] = true
		mine := c.running[a.ID]
		if mine == nil {
			idle, err := c.engine.Store.Idle(a.ID)
			if err != nil {
				return err
			}
			if idle {
				c.find(false, "the network helper has container %.12s attached, which does not run%s", a.ID, portsText(a.Ports))
			}
			continue
		}
		for _, network := range a.Networks {
			if !slices.ContainsFunc(mine.Endpoints, func(e store.Endpoint) bool { return e.Network == network }) {
				c.find(c.reload(a.ID), "the network helper has container %q in network %q, where it is not", mine.Name, network)
			}
		}
	}
	for id, a := range c.running {
		if !attached[id] {
			c.find(false, "container %q is not attached to the network helper", a.Name)
		}
	}
	c.interfaces(status.Interfaces)
	return nil
}

// reload has the helper look again at a container, where that is wanted.
func (c *check) reload(id string) bool { return c.repair && c.engine.reload(id) == nil }

func portsText(ports []store.Port) string {
	if len(ports) == 0 {
		return ""
	}
	return fmt.Sprintf(", and listens on %d ports for it", len(ports))
}

// interfaces looks for those in N that no network and no running container needs.
// Their names are two letters and the beginning of an id.
func (c *check) interfaces(names []string) {
	var ids []string
	for _, n := range c.networks {
		ids = append(ids, n.ID)
	}
	for _, a := range c.running {
		for _, e := range a.Endpoints {
			ids = append(ids, e.ID)
		}
	}
	for _, name := range names {
		if len(name) != 12 || name[0] != 's' || strings.Trim(name[2:], "0123456789abcdef") != "" {
			continue // no container's, no network's
		}
		if !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, name[2:]) }) {
			c.find(false, "interface %s is there for no network and no running container", name)
		}
	}
}
