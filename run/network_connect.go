package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/store"
)

// NetworkConnect puts a container into one more network: at once where it runs, and
// at each start from now on.
func (e *Engine) NetworkConnect(ctx context.Context, o *NetworkConnectOptions) error {
	defer e.tidy()()
	switch netns.Mode(o.Network) {
	case netns.Host:
		return errHostNetwork
	case netns.None:
		return errNoneNetwork
	}
	name, err := findNetwork(e.Store, o.Network)
	if err != nil {
		return err
	}
	want, err := o.Place.Endpoint(name, o.DriverOpts, o.Priority)
	if err != nil {
		return err
	}
	err = e.changeNetworks(o.Container, name, func(r *store.Record, wanted []store.EndpointConfig) ([]store.EndpointConfig, error) {
		if slices.ContainsFunc(wanted, func(w store.EndpointConfig) bool { return w.Network == name }) {
			return nil, fmt.Errorf("endpoint with name %s already exists in network %s", r.Name, name)
		}
		return append(slices.Clone(wanted), *want), nil
	}, func(a *store.Attachment) error { return netns.Join(e.Store, a, *want) })
	if err == nil {
		e.emitMember("connect", name, o.Container)
	}
	return err
}

// changeNetworks changes whether a container wants a network, and where it runs
// whether it has it. Where the second fails nothing has changed.
func (e *Engine) changeNetworks(ref, network string, change func(*store.Record, []store.EndpointConfig) ([]store.EndpointConfig, error), apply func(*store.Attachment) error) error {
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	if err := changeable(r); err != nil {
		return err
	}
	lock, state, err := c.LockChange()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	before, err := e.Store.Wanted(r)
	if err != nil {
		return err
	}
	var stray bool
	if state.Alive() && !slices.ContainsFunc(before, func(w store.EndpointConfig) bool { return w.Network == network }) {
		if stray, err = e.departStray(c, r, network); err != nil {
			return err
		}
	}
	after, err := change(r, before)
	if stray && errors.Is(err, errNotConnected) {
		return nil // it was, and is no longer
	}
	if err != nil {
		return err
	}
	if state.Alive() {
		if err := e.changeRunning(c, r, apply); err != nil {
			return err
		}
	}
	return c.SetWanted(after, durabilityOf(r))
}

// departStray takes a running container out of a network that it does not want, and
// tells whether it was there: a connect was killed between the two.
func (e *Engine) departStray(c *store.Container, r *store.Record, network string) (bool, error) {
	a, err := store.ReadAttachment(c.Dir)
	if err != nil || a == nil || !slices.ContainsFunc(a.Endpoints, func(e store.Endpoint) bool { return e.Network == network }) {
		return false, err
	}
	return true, e.changeRunning(c, r, func(a *store.Attachment) error {
		netns.Depart(e.Store, a, network)
		return nil
	})
}

// Docker's words for what cannot be among other networks.
var (
	errHostNetwork = errors.New("container cannot be disconnected from host network or connected to host network")
	errNoneNetwork = errors.New("container cannot be connected to multiple networks with one of the networks in private (none) mode")
)

// changeable refuses containers that are in no network of skiff's, in Docker's words.
func changeable(r *store.Record) error {
	mode := netns.Mode(r.HostConfig.NetworkMode)
	driver, _ := mode.Driver()
	switch {
	case mode.Networks():
		return nil
	case mode == netns.Host:
		return errHostNetwork
	case mode == netns.None:
		return errNoneNetwork
	case driver != "":
		return fmt.Errorf("a container that %s connects cannot be connected to any other network", driver)
	}
	return errors.New("container sharing network namespace with another container or host cannot be connected to any other network")
}

// changeRunning changes the attachment of a running container and has the helper
// make it true. The caller holds the container's lock.
func (e *Engine) changeRunning(c *store.Container, r *store.Record, apply func(*store.Attachment) error) error {
	was, err := store.ReadAttachment(c.Dir)
	if err != nil {
		return err
	}
	if was == nil {
		return fmt.Errorf("changing the networks of container %q: it has none", r.Name)
	}
	is := *was
	is.Endpoints = slices.Clone(was.Endpoints)
	undo := func(err error) error {
		for i := range is.Endpoints {
			if !hasEndpoint(was, is.Endpoints[i].ID) {
				netns.Leave(e.Store, c.ID, &is.Endpoints[i])
			}
		}
		return err
	}
	if err := apply(&is); err != nil {
		return undo(err)
	}
	if err := store.WriteAttachment(c.Dir, &is, store.Fleeting); err != nil {
		return undo(err)
	}
	if err := e.reload(c.ID); err != nil {
		err = errors.Join(fmt.Errorf("changing the networks of container %q: %w", r.Name, err), store.WriteAttachment(c.Dir, was, store.Fleeting))
		_ = e.reload(c.ID) // back to what it was, as far as there is a helper to do it
		return undo(err)
	}
	for i := range was.Endpoints {
		if !hasEndpoint(&is, was.Endpoints[i].ID) {
			netns.Leave(e.Store, c.ID, &was.Endpoints[i])
		}
	}
	if err := e.rewriteNetworkFiles(c.Dir, r, was, &is); err != nil {
		e.say(fmt.Sprintf("container %q keeps its old hosts and resolv.conf: %v", r.Name, err))
	}
	return nil
}

func hasEndpoint(a *store.Attachment, id string) bool {
	return slices.ContainsFunc(a.Endpoints, func(e store.Endpoint) bool { return e.ID == id })
}

// reload has the helper read a container's attachment again. Where the helper has
// just died another is started: the container's shim attaches it to that.
func (e *Engine) reload(id string) error {
	main, err := mainProgram()
	if err != nil {
		return err
	}
	defer main.Close()
	for attempt := 1; ; attempt++ {
		start := client.Start{Store: e.Store, Program: main}
		conn, err := start.Connect()
		if err != nil {
			return err
		}
		err = conn.Reload(id)
		conn.Close()
		if !errors.Is(err, client.ErrHelperDied) || attempt == 3 {
			return err
		}
	}
}

// rewriteNetworkFiles changes hosts and resolv.conf of a running container, leaving
// what it wrote there itself.
func (e *Engine) rewriteNetworkFiles(dir string, r *store.Record, was, is *store.Attachment) error {
	var hosts, resolv [2][]byte
	for i, a := range []*store.Attachment{was, is} {
		servers, err := e.nameServers(a)
		if err == nil {
			hosts[i], resolv[i], err = networkTexts(r, a, servers)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(
		netns.Update(filepath.Join(dir, fileHosts), hosts[0], hosts[1]),
		netns.Update(filepath.Join(dir, fileResolv), resolv[0], resolv[1]),
	)
}
