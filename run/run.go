package run

import (
	"context"
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/conmon"
)

// Run creates a container, starts it and stays with it until it has ended or the
// caller detaches. The error is a *[conmon.Failure] with Docker's exit code where
// the program cannot be executed.
func (e *Engine) Run(ctx context.Context, o *CreateOptions, a AttachOptions) (id string, out Outcome, err error) {
	keys, err := detachKeys(a.DetachKeys)
	if err != nil {
		return "", Outcome{}, err
	}
	c, r, err := e.create(ctx, o, false)
	if err != nil {
		return "", Outcome{}, err
	}
	if r.HostConfig.AutoRemove {
		done, err := e.Store.Intend(c.ID)
		if err != nil {
			return c.ID, Outcome{}, err
		}
		defer done()
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
	session, err := e.launch(c, r, want, direct)
	if err != nil {
		e.abandon(c, r)
		return c.ID, Outcome{}, err
	}
	p := pump{engine: e, container: c, session: session, options: &a, attach: want, direct: direct, tty: r.Config.Tty, keys: keys, signals: signals}
	out, err = p.run(ctx)
	return c.ID, out, err
}

// RunDetached creates a container, starts it in the background and returns its id.
func (e *Engine) RunDetached(ctx context.Context, o *CreateOptions) (id string, err error) {
	c, r, err := e.create(ctx, o, true)
	if err != nil {
		return "", err
	}
	if r.HostConfig.AutoRemove {
		done, err := e.Store.Intend(c.ID)
		if err != nil {
			return c.ID, err
		}
		defer done()
	}
	session, err := e.launch(c, r, conmon.Attach{}, [3]*os.File{})
	if err != nil {
		e.abandon(c, r)
		return "", fmt.Errorf("starting container %q: %w", r.Name, err)
	}
	session.Close()
	return c.ID, nil
}
