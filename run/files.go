package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// files are a container's files while they are worked on. One that does not run cannot
// be started meanwhile.
type files struct {
	*archive.Session
	lock *store.Lock // nil of a running container
}

// Close lets go of them.
func (f *files) Close() error {
	err := f.Session.Close()
	if f.lock != nil {
		f.lock.Unlock()
	}
	return err
}

// filesView says what is seen of a container's files.
type filesView int

const (
	asContainer filesView = iota // with volumes and whatever else is mounted
	rootOnly                     // the root file system alone
)

// openFiles opens the files of a container, whether it runs or not.
func (e *Engine) openFiles(ctx context.Context, c *store.Container, r *store.Record, view filesView) (*files, error) {
	deadline := time.Now().Add(settleLimit)
	for {
		state, err := settle(ctx, c)
		if err != nil {
			return nil, err
		}
		var f *files
		switch {
		case state.Alive():
			f, err = e.openLive(c, r, state, view)
		case state.Status != store.Restarting:
			f, err = e.openStopped(ctx, c, r, view)
		default:
			err = store.ErrRunning
		}
		// It has started or ended since its state was read, or waits for its next start.
		if !errors.Is(err, unix.ESRCH) && !errors.Is(err, store.ErrRunning) || time.Now().After(deadline) {
			return f, err
		}
		if err := pause(ctx, settlePoll); err != nil {
			return nil, err
		}
	}
}

func (e *Engine) openLive(c *store.Container, r *store.Record, state *store.State, view filesView) (*files, error) {
	root := archive.Root{Live: &state.Init, IDs: r.HostConfig.IDMappings}
	if view == rootOnly {
		root.Live, root.Below, root.Merged = nil, &state.Shim, filepath.Join(c.Dir, "merged")
	}
	session, err := archive.Open(e.Store, root, nil)
	if err != nil {
		return nil, err
	}
	return &files{Session: session}, nil
}

func (e *Engine) openStopped(ctx context.Context, c *store.Container, r *store.Record, view filesView) (*files, error) {
	if err := e.mapLayers(ctx, r, nil); err != nil {
		return nil, err
	}
	lock, _, err := c.LockStart()
	if err != nil {
		return nil, err
	}
	stack := e.stack(c, r)
	root := archive.Root{Stack: &stack, IDs: r.HostConfig.IDMappings}
	if view == asContainer {
		root.ReadOnly = r.HostConfig.ReadonlyRootfs
		for _, m := range r.HostConfig.Mounts {
			if m.Type == "bind" {
				root.Binds = append(root.Binds, archive.Bind{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
			}
		}
	}
	session, err := archive.Open(e.Store, root, lock)
	if err != nil {
		lock.Unlock()
		return nil, err
	}
	return &files{session, lock}, nil
}

// stack is what a container's root file system is made of. It is synced as a mount of
// its shim's is not where the container removes itself.
func (e *Engine) stack(c *store.Container, r *store.Record) store.Stack {
	return store.Stack{Driver: r.Driver, Store: e.Store.Root, Layers: r.Image.Layers, Map: layerMap(r), Base: r.Rootfs, Dir: c.Dir}
}

// missingFile is an error of a path in a container, in Docker's words where nothing is there.
func missingFile(path, container string, err error) error {
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("finding %s in container %s: no such file or directory", path, container)
	}
	return fmt.Errorf("opening %s in container %s: %w", path, container, err)
}
