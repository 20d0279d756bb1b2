package run

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/conmon/program"
	"github.com/skiff-containers/skiff/store"
)

// prepare starts the shim of a container that is about to exist or to be started.
func (e *Engine) prepare(r *store.Record) (*conmon.Shim, error) {
	path, err := program.Open(e.Store)
	if err != nil {
		return nil, err
	}
	group, err := e.beginGroup(r)
	if err != nil {
		return nil, err
	}
	shim, err := conmon.Prepare(e.Store, path, r.ID)
	if err != nil {
		group.abandon()
		return nil, err
	}
	e.expectGroup(group, shim)
	return shim, nil
}

// launch starts a container that exists already.
func (e *Engine) launch(c *store.Container, r *store.Record, attach conmon.Attach, direct [3]*os.File) (*conmon.Session, error) {
	return e.launchBy(nil, e.beginNetworking(r), c, r, attach, direct)
}

// launchBy starts a container that does not run, by a shim that was prepared or,
// where that is nil, another one, and returns once its process was executed. The
// error wraps store.ErrRunning where it runs already. n is closed.
func (e *Engine) launchBy(shim *conmon.Shim, n *networking, c *store.Container, r *store.Record, attach conmon.Attach, direct [3]*os.File) (session *conmon.Session, err error) {
	defer func() {
		if shim != nil {
			shim.Abandon()
		}
		n.close()
	}()
	if err := e.startRequired(r); err != nil {
		return nil, err
	}
	if err := e.mapLayers(context.Background(), r, nil); err != nil {
		return nil, err
	}
	lock, state, err := c.LockStart()
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	if n != nil || !state.StartedAt.IsZero() || !r.HostConfig.AutoRemove {
		// The host's resolver and hosts may have changed since the files were made.
		if err := e.join(c, r); err != nil {
			return nil, err
		}
	}
	stillThere, err := e.joinPeers(c, r)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && n != nil {
			e.Store.ReleaseAll(c.Dir, c.ID) // nobody else does where there was no shim
		}
	}()
	setup, err := e.setup(c, r, attach)
	if err != nil {
		return nil, err
	}
	if err := live(&setup, r); err != nil {
		return nil, err
	}
	helper, err := n.files()
	if err != nil {
		return nil, err
	}
	if shim == nil {
		if shim, err = e.prepare(r); err != nil {
			return nil, err
		}
	}
	begun := shim
	shim = nil // it is no longer ours to abandon
	session, entry, err := begun.Begin(setup, direct, helper...)
	if entry != nil {
		e.tellMapping(entry)
	}
	if err == nil {
		if err = stillThere(); err != nil {
			session.Close()
			return nil, errors.Join(err, endAbandoned(c))
		}
	}
	return session, err
}

// setup is what the shim is told.
func (e *Engine) setup(c *store.Container, r *store.Record, attach conmon.Attach) (conmon.Setup, error) {
	log, err := logOf(r.HostConfig.LogConfig)
	if err != nil {
		return conmon.Setup{}, err
	}
	who, err := identity(r)
	if err != nil {
		return conmon.Setup{}, err
	}
	filter, err := filterFlags(r.HostConfig.SecurityOpt)
	if err != nil {
		return conmon.Setup{}, err
	}
	return conmon.Setup{
		Container:  c.ID,
		Name:       r.Name,
		Dir:        c.Dir,
		Root:       e.Store.Root,
		Stack:      store.Stack{Driver: r.Driver, Store: e.Store.Root, Layers: r.Image.Layers, Map: layerMap(r), Base: r.Rootfs, Dir: c.Dir, Volatile: r.HostConfig.AutoRemove},
		User:       r.Config.User,
		GroupAdd:   r.HostConfig.GroupAdd,
		Identity:   who,
		OpenStdin:  r.Config.OpenStdin,
		StdinOnce:  r.Config.StdinOnce,
		AutoRemove: r.HostConfig.AutoRemove,
		Init:       r.HostConfig.Init,
		Log:        log,
		Seccomp:    exists(c.Dir + "/" + fileSeccomp),

		SeccompFlags: filter,
		Attach:       attach,
	}, nil
}

// logOf is the log's configuration as the shim takes it: sizes in bytes.
func logOf(c store.LogConfig) (store.LogConfig, error) {
	size := c.Config["max-size"]
	if size == "" {
		return c, nil
	}
	n := int64(-1) // without end
	if size != "-1" {
		var err error
		if n, err = parseBytes(size); err != nil {
			return c, fmt.Errorf("parsing log option max-size %q: %w", size, err)
		}
	}
	in := store.LogConfig{Type: c.Type, Config: map[string]string{"max-size": fmt.Sprint(n)}}
	if files := c.Config["max-file"]; files != "" {
		in.Config["max-file"] = files
	}
	return in, nil
}

// tellMapping says what the user should know of the ids that containers get.
func (e *Engine) tellMapping(entry *store.Entry) {
	if entry.Mapping.Single {
		text := "containers have a single user id, as this user has no subordinate ids"
		if entry.Mapping.Why != nil {
			text = "containers have a single user id: " + entry.Mapping.Why.Error()
			if hint := hintOf(entry.Mapping.Why); hint != "" {
				text += " (mend it with: " + hint + ")"
			}
		}
		e.sayOnce("single-id", text)
	}
	if entry.Stale {
		e.say("the subordinate ids of this user have changed; the new ones count once all containers have ended")
	}
}

// abandon clears away a --rm container whose start failed. Others stay, to be
// looked at and started again.
func (e *Engine) abandon(c *store.Container, r *store.Record) {
	if !r.HostConfig.AutoRemove {
		return
	}
	if err := remove(c); err != nil && !errors.Is(err, store.ErrNoContainer) {
		e.say(err.Error())
	}
}

// endAbandoned ends a container that was started and must not have been.
func endAbandoned(c *store.Container) error {
	state, err := c.State()
	if err != nil || !state.Alive() {
		return err
	}
	return state.Init.KillAndWait(killLimit)
}
