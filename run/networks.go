package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
)

// joinNetworks reads what is asked of networks, and looks up what it names.
func (p *plan) joinNetworks(s *store.Store, o *CreateOptions) (err error) {
	asked := o.Network
	asked.Hostname = o.Hostname != ""
	if p.network, err = asked.Parse(); err != nil {
		return err
	}
	if ref := p.network.Mode.Container(); ref != "" {
		if p.peer, err = s.Find(ref); err != nil {
			return fmt.Errorf("joining the network of a container: %w", err)
		}
		p.network.Mode = netns.Mode("container:" + p.peer.ID)
		return nil
	}
	for _, link := range p.network.Links {
		name, _ := netns.SplitLink(link)
		if _, err := s.Find(name); err != nil {
			return fmt.Errorf("linking to container %q: %w", name, err)
		}
	}
	for i := range p.network.Endpoints {
		e := &p.network.Endpoints[i]
		n, err := findNetwork(s, e.Network)
		if err != nil {
			return err
		}
		e.Network = n
	}
	if p.network.Mode.Networks() {
		p.network.Mode = netns.Mode(p.network.Endpoints[0].Network)
	}
	p.record.Networks = p.network.Endpoints
	return nil
}

// findNetwork resolves a network's name, its id, or a unique beginning of that, to
// its name. It wraps store.ErrNoNetwork. The default network exists always.
func findNetwork(s *store.Store, ref string) (name string, err error) {
	switch ref {
	case string(netns.Bridge):
		return ref, nil
	case "":
		return "", errors.New("invalid network name or ID: value is empty")
	}
	n, err := s.Network(ref)
	if err == nil {
		return n.Name, nil
	}
	if !errors.Is(err, store.ErrNoNetwork) {
		return "", err
	}
	all, err := s.Networks()
	if err != nil {
		return "", err
	}
	for _, n := range all {
		if len(ref) > len(n.ID) || n.ID[:len(ref)] != ref {
			continue
		}
		if name != "" {
			return "", fmt.Errorf("%w: %s", errSeveralNetworks, ref)
		}
		name = n.Name
	}
	if name == "" {
		return "", fmt.Errorf("network %s not found: %w", ref, store.ErrNoNetwork)
	}
	return name, nil
}

var errSeveralNetworks = errors.New("several networks match")

// rewriteSpec changes a container's config, under its lock.
func rewriteSpec(dir string, change func(*specs.Spec)) error {
	path := filepath.Join(dir, fileConfig)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	spec, err := oci.DecodeSpec(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	change(spec)
	if data, err = oci.EncodeSpec(spec); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return store.WriteFile(path, data, store.Fleeting)
}
