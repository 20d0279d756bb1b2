package run

import (
	"context"
	"errors"
	"maps"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// joinPorts reads which ports the container exposes, the image's among them, and
// which of them the host has.
func (p *plan) joinPorts(o *CreateOptions, image map[string]struct{}) error {
	published, err := netns.ParsePublish(o.Publish)
	if err != nil {
		return err
	}
	exposed, err := netns.ParseExpose(o.Expose)
	if err != nil {
		return err
	}
	if p.network.Mode.Container() != "" {
		if len(published) > 0 || o.PublishAll {
			return errors.New("conflicting options: port publishing and the container type network mode")
		}
		if len(exposed) > 0 {
			return errors.New("conflicting options: port exposing and the container type network mode")
		}
	}
	c, h := &p.record.Config, &p.record.HostConfig
	h.PortBindings, h.PublishAllPorts = netns.PortBindings(published), o.PublishAll
	for key := range h.PortBindings {
		exposed[key] = struct{}{}
	}
	maps.Copy(exposed, image)
	if len(exposed) > 0 {
		c.ExposedPorts = exposed
	}
	return nil
}

// Ports are a running container's published ports with the host's real ones, in the
// order of the container's; none of one that does not run.
func (e *Engine) Ports(ctx context.Context, ref string) ([]store.Port, error) {
	defer e.tidy()()
	c, err := e.Store.Find(ref)
	if err != nil {
		return nil, err
	}
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	r, err := c.Record()
	if err != nil {
		return nil, err
	}
	return portsOf(c, r, state), ctx.Err()
}

// portsOf reads what the network helper noted. Most containers publish nothing, and
// their folder is not looked at. A note that cannot be read is as none: the ports are
// the helper's, whatever is known of them here.
func portsOf(c *store.Container, r *store.Record, state *store.State) []store.Port {
	h := &r.HostConfig
	if !state.Alive() || len(h.PortBindings) == 0 && !h.PublishAllPorts {
		return nil
	}
	ports, err := store.ReadBound(c.Dir)
	if err != nil {
		return nil
	}
	ports = netns.ProgramPorts(netns.Mode(h.NetworkMode), ports)
	netns.SortPorts(ports)
	return ports
}

// portMap is NetworkSettings.Ports: what is exposed, and where the host has it. It is
// empty for a container that does not run, as docker's is.
func portMap(c *store.Container, r *store.Record, state *store.State) map[string][]store.PortBinding {
	all := map[string][]store.PortBinding{}
	if !state.Alive() || !netns.Mode(r.HostConfig.NetworkMode).Served() {
		return all
	}
	for key := range r.Config.ExposedPorts {
		if port, protocol, err := netns.ParsePortKey(key); err == nil {
			all[netns.PortKey(port, protocol)] = nil
		}
	}
	maps.Copy(all, netns.PortBindings(portsOf(c, r, state)))
	return all
}
