package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// Create makes a container and returns its id; it does not start. The image is
// pulled where o.Pull says so.
func (e *Engine) Create(ctx context.Context, o *CreateOptions) (id string, err error) {
	defer e.tidy()()
	c, _, err := e.create(ctx, o, false, nil)
	if err != nil {
		return "", err
	}
	return c.ID, nil
}

// create is Create for run as well. With detached nobody will attach to the start.
// Before, where not nil, is called when nothing but writing the container is left to do.
func (e *Engine) create(ctx context.Context, o *CreateOptions, detached bool, before func(*store.Record) error) (*store.Container, *store.Record, error) {
	if _, err := netns.ParsePublish(o.Publish); err != nil {
		return nil, nil, err // before an image is pulled for nothing
	}
	if err := e.chooseRuntime(o); err != nil {
		return nil, nil, err
	}
	if o.PidFile != "" {
		path, err := filepath.Abs(o.PidFile)
		if err != nil {
			return nil, nil, err
		}
		o.PidFile = path
	}
	img, err := e.imageFor(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	p, err := newPlan(e.Store, o, img, detached)
	if err != nil {
		return nil, nil, err
	}
	defer p.reserved.Release()
	if err := e.replace(ctx, o); err != nil {
		return nil, nil, err
	}
	if mode := p.network.Mode; len(o.Publish) > 0 && !mode.Served() {
		e.say(fmt.Sprintf("published ports are discarded when using %s network mode", mode))
	}
	if p.record.Driver, err = e.driver(); err != nil {
		return nil, nil, err
	}
	if err := p.useFolder(o); err != nil {
		return nil, nil, err
	}
	if err := e.mapLayers(ctx, p.record, o.Progress); err != nil {
		return nil, nil, err
	}
	undoCID, err := writeCIDFile(o.CIDFile, p.record.ID)
	if err != nil {
		return nil, nil, err
	}
	// From here to the record in the store nobody may remove the image's layers.
	release, err := e.hold(img)
	if err != nil {
		undoCID()
		return nil, nil, err
	}
	defer release()
	if before != nil {
		err = before(p.record)
	}
	var c *store.Container
	if err == nil {
		c, err = e.place(p)
	}
	if err != nil {
		undoCID()
		return nil, nil, err
	}
	created := []store.Event{p.record.Event("create")}
	if before != nil && !detached { // who will be attached is so before the start, as with docker
		created = append(created, p.record.Event("attach"))
	}
	e.Store.Emit(created...)
	return c, p.record, nil
}

// driver is the storage driver for a new container. One that costs time is told of.
func (e *Engine) driver() (string, error) {
	info, err := e.Store.DriverInfo()
	if err != nil {
		return "", err
	}
	if info.Overlay != "" {
		e.sayOnce("driver-"+info.Driver, fmt.Sprintf("root file systems are made by %s: the kernel's overlay cannot be used here: %s", info.Driver, info.Overlay))
	}
	return info.Driver, nil
}

// place puts the container into the store, under its name or one that is free.
func (e *Engine) place(p *plan) (*store.Container, error) {
	r := p.record
	caps := joinCapabilities(r.HostConfig.CapAdd, r.HostConfig.CapDrop, r.HostConfig.Privileged)
	// A third of a millisecond that need not be waited for.
	type compiled struct {
		filter []byte
		err    error
	}
	compiling := make(chan compiled, 1)
	go func() {
		var c compiled
		if !isForeign(&r.HostConfig) { // another runtime compiles it itself
			c.filter, c.err = p.security.filter(caps, r.HostConfig.Privileged)
		}
		compiling <- c
	}()
	spec, err := p.spec(filepath.Join(e.Store.Root, "containers", r.ID), caps)
	if err != nil {
		return nil, err
	}
	if err := p.forRuntime(spec, caps); err != nil {
		return nil, err
	}
	config, err := oci.EncodeSpec(spec)
	if err != nil {
		return nil, fmt.Errorf("writing the OCI config: %w", err)
	}
	seccomp := <-compiling
	if seccomp.err != nil {
		return nil, seccomp.err
	}
	if err := makeSources(r.HostConfig.Mounts); err != nil {
		return nil, err
	}
	durability := durabilityOf(r)
	named := r.Name != ""
	for attempt := 1; ; attempt++ {
		if !named {
			r.Name = randomName()
			if attempt > 5 {
				r.Name += fmt.Sprint(attempt)
			}
		}
		c, err := e.Store.Create(r, durability, func(dir string) error { return fill(dir, p, config, seccomp.filter, durability) })
		if !errors.Is(err, store.ErrNameTaken) {
			return c, err
		}
		if named {
			return nil, nameTaken(e.Store, r.Name)
		}
		if attempt > 100 {
			return nil, err
		}
	}
}

// durabilityOf: what goes with its container needs no disk to survive a power cut.
func durabilityOf(r *store.Record) store.Durability {
	if r.HostConfig.AutoRemove {
		return store.Fleeting
	}
	return store.Durable
}

func nameTaken(s *store.Store, name string) error {
	holder := ""
	if c, findErr := s.Find(name); findErr == nil {
		holder = fmt.Sprintf(" by container %q", c.ID)
	}
	return &userns.HostError{
		What: fmt.Sprintf("the container name %q is already in use%s", name, holder),
		Hint: fmt.Sprintf("skiff rm %s, or choose another name", name),
	}
}

// fill writes what a container's folder has beside the store's own files.
func fill(dir string, p *plan, config, filter []byte, d store.Durability) error {
	if err := fresh(dir, fileConfig, config, 0o600, d); err != nil {
		return err
	}
	if filter != nil {
		if err := fresh(dir, fileSeccomp, filter, 0o600, d); err != nil {
			return err
		}
	}
	if err := p.writeSecrets(dir, d); err != nil {
		return err
	}
	if p.zone != nil {
		if err := fresh(dir, fileLocaltime, p.zone, 0o644, d); err != nil {
			return err
		}
	}
	// Any user of the container reads these: their mode is not the caller's umask's affair.
	if err := fresh(dir, fileContainer, containerEnv(p.record), 0o644, store.Fleeting); err != nil {
		return err
	}
	if p.network.Mode.Served() {
		return nil // addresses are given out when it starts
	}
	return writeNetworkFiles(dir, p.record, nil, nil)
}

// fresh writes a file that no other process reads yet.
func fresh(dir, name string, data []byte, mode os.FileMode, d store.Durability) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && mode != 0o600 {
		err = f.Chmod(mode)
	}
	if err == nil && d == store.Durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// containerEnv is /run/.containerenv, by which programs know that they are in a
// container, and which; the keys are podman's.
func containerEnv(r *store.Record) []byte {
	rootless := 1
	if os.Geteuid() == 0 {
		rootless = 0
	}
	return fmt.Appendf(nil, "engine=\"skiff\"\nname=%q\nid=%q\nimage=%q\nimageid=%q\nrootless=%d\n",
		r.Name, r.ID, r.Image.Reference, r.Image.ID, rootless)
}

// writeCIDFile writes the id to a file that must not exist yet. The file is
// removed again by undo, where no container comes of it.
func writeCIDFile(path, id string) (undo func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil, &userns.HostError{
			What: fmt.Sprintf("container ID file %q exists", path),
			Hint: fmt.Sprintf("make sure the other container is not running, or delete %s", path),
		}
	}
	if err != nil {
		return nil, fmt.Errorf("creating the container ID file: %w", err)
	}
	undo = func() { os.Remove(path) }
	_, err = f.WriteString(id)
	if err = errors.Join(err, f.Close()); err != nil {
		undo()
		return nil, fmt.Errorf("writing the container ID file: %w", err)
	}
	return undo, nil
}
