package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// Start starts a container in the background. One that runs already is no error.
func (e *Engine) Start(ctx context.Context, ref string) error {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	return e.start(ctx, c, r)
}

func (e *Engine) start(ctx context.Context, c *store.Container, r *store.Record) error {
	session, err := e.launchAgain(ctx, c, r, conmon.Attach{})
	if errors.Is(err, store.ErrRunning) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("starting container %q: %w", r.Name, err)
	}
	session.Close()
	return nil
}

// launchAgain is launch for a container that may be at its very end still, or between two lives.
func (e *Engine) launchAgain(ctx context.Context, c *store.Container, r *store.Record, attach conmon.Attach) (*conmon.Session, error) {
	for deadline := time.Now().Add(settleLimit); ; {
		session, err := e.launch(c, r, attach, [3]*os.File{})
		if !errors.Is(err, store.ErrRunning) || time.Now().After(deadline) {
			return session, err
		}
		state, settleErr := settle(ctx, c)
		switch {
		case settleErr == nil && state.Status == store.Paused:
			return nil, &userns.HostError{What: "it is paused", Hint: "skiff unpause " + r.Name}
		case settleErr != nil || state.Alive():
			return nil, err
		case state.Status == store.Restarting:
			if session, err = wake(c, attach); !errors.Is(err, conmon.ErrGone) {
				return session, err
			}
		}
		if err := pause(ctx, settlePoll); err != nil {
			return nil, err
		}
	}
}

// wake has a container that waits for its next start by its policy started now.
func wake(c *store.Container, attach conmon.Attach) (*conmon.Session, error) {
	client, err := conmon.Dial(c)
	if err != nil {
		return nil, err
	}
	return client.Start(attach)
}

// StartAttached starts a container and stays with it until it has ended or the
// caller detaches. One that runs already is attached to.
func (e *Engine) StartAttached(ctx context.Context, ref string, a AttachOptions) (Outcome, error) {
	defer e.tidy()()
	keys, err := detachKeys(a.DetachKeys)
	if err != nil {
		return Outcome{}, err
	}
	c, r, err := e.find(ref)
	if err != nil {
		return Outcome{}, err
	}
	signals := e.proxy(a.SigProxy)
	defer signals.stop()
	want := wanted(r, &a)
	want.Stdout, want.Stderr = true, true
	e.emit(r, "attach") // before the start, as with docker
	session, err := signals.during(func() (*conmon.Session, error) { return e.launchAgain(ctx, c, r, want) })
	if errors.Is(err, store.ErrRunning) {
		return e.attach(ctx, c, r, &a, false)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("starting container %q: %w", r.Name, err)
	}
	p := pump{engine: e, container: c, session: session, options: &a, attach: want, tty: r.Config.Tty, keys: keys, signals: signals}
	return p.run(ctx)
}

// find returns a container and what was asked of it.
func (e *Engine) find(ref string) (*store.Container, *store.Record, error) {
	c, err := e.Store.Find(ref)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.Record()
	return c, r, err
}
