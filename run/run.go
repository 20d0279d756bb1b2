package run

import (
	"context"
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// Run creates a container, starts it and stays with it until it has ended or the
// caller detaches. The error is a *[conmon.Failure] with Docker's exit code where
// the program cannot be executed.
func (e *Engine) Run(ctx context.Context, o *CreateOptions, a AttachOptions) (id string, out Outcome, err error) {
	defer e.tidy()()
	keys, err := detachKeys(a.DetachKeys)
	if err != nil {
		return "", Outcome{}, err
	}
	c, r, err := e.create(ctx, o, false)
	if err != nil {
		return "", Outcome{}, err
	}
	if err := ctx.Err(); err != nil {
		e.abandon(c, r)
		return c.ID, Outcome{}, err
	}
	// What arrives from now on is the container's.
	signals := e.proxy(a.SigProxy)
	defer signals.stop()
	want := wanted(r, &a)
	direct := handover(r, &a, want)
	session, err := signals.during(func() (*conmon.Session, error) { return e.launchNew(c, r, want, direct) })
	if err != nil {
		return c.ID, Outcome{}, err
	}
	p := pump{engine: e, container: c, session: session, options: &a, attach: want, direct: direct, tty: r.Config.Tty, keys: keys, signals: signals}
	out, err = p.run(ctx)
	return c.ID, out, err
}

// RunDetached creates a container, starts it in the background and returns its id.
func (e *Engine) RunDetached(ctx context.Context, o *CreateOptions) (id string, err error) {
	defer e.tidy()()
	c, r, err := e.create(ctx, o, true)
	if err != nil {
		return "", err
	}
	session, err := e.launchNew(c, r, conmon.Attach{}, [3]*os.File{})
	if err != nil {
		return "", fmt.Errorf("starting container %q: %w", r.Name, err)
	}
	session.Close()
	return c.ID, nil
}

// launchNew launches a container that this process has made. Should the process die
// before the shim has taken over, or the start fail, none made with --rm is left.
func (e *Engine) launchNew(c *store.Container, r *store.Record, attach conmon.Attach, direct [3]*os.File) (*conmon.Session, error) {
	if r.HostConfig.AutoRemove {
		done, err := e.Store.Intend(c.ID)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	session, err := e.launch(c, r, attach, direct)
	if err != nil {
		e.abandon(c, r)
	}
	return session, err
}
