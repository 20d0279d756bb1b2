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
	b, err := e.bear(ctx, o, false)
	if err != nil {
		return "", Outcome{}, err
	}
	defer b.done()
	c, r := b.container, b.record
	if err := ctx.Err(); err != nil {
		b.shim.Abandon()
		b.network.close()
		e.abandon(c, r)
		return c.ID, Outcome{}, err
	}
	// What arrives from now on is the container's.
	signals := e.proxy(a.SigProxy)
	defer signals.stop()
	want := wanted(r, &a)
	direct := handover(r, &a, want)
	session, err := signals.during(func() (*conmon.Session, error) { return e.launchNew(b, want, direct) })
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
	b, err := e.bear(ctx, o, true)
	if err != nil {
		return "", err
	}
	defer b.done()
	session, err := e.launchNew(b, conmon.Attach{}, [3]*os.File{})
	if err != nil {
		return "", fmt.Errorf("starting container %q: %w", b.record.Name, err)
	}
	session.Close()
	return b.container.ID, nil
}

// newborn is a container that this process has made to start it at once.
type newborn struct {
	container *store.Container
	record    *store.Record
	shim      *conmon.Shim
	network   *networking
	intent    func() // takes back the note that a --rm container is about to be started
}

// done follows the start, however that went.
func (b *newborn) done() {
	if b.intent != nil {
		b.intent()
		b.intent = nil
	}
}

// bear makes a container while its shim starts up. Should this process die before
// the shim has taken over, none made with --rm is left.
func (e *Engine) bear(ctx context.Context, o *CreateOptions, detached bool) (b *newborn, err error) {
	b = &newborn{}
	preserve, err := preserved(o.PreserveFDs)
	if err != nil {
		return nil, err
	}
	b.container, b.record, err = e.create(ctx, o, detached, func(r *store.Record) (err error) {
		if r.HostConfig.AutoRemove {
			if b.intent, err = e.Store.Intend(r.ID); err != nil {
				return err
			}
		}
		b.network = e.beginNetworking(r)
		if b.shim, err = e.prepare(r); err == nil {
			b.shim.Preserve(preserve)
		}
		return err
	})
	if err != nil {
		if b.shim != nil {
			b.shim.Abandon()
		}
		b.network.close()
		b.done()
		return nil, err
	}
	return b, nil
}

// launchNew starts a newborn. Where that fails, one made with --rm is removed.
func (e *Engine) launchNew(b *newborn, attach conmon.Attach, direct [3]*os.File) (*conmon.Session, error) {
	session, err := e.launchBy(b.shim, b.network, b.container, b.record, attach, direct)
	if err != nil {
		e.abandon(b.container, b.record)
	}
	b.done()
	return session, err
}
