package run

import (
	"errors"
	"maps"

	"github.com/skiff-containers/skiff/netns"
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
