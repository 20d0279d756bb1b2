package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// waitPoll is how often a container is looked at whose shim there is none to ask of.
const waitPoll = 100 * time.Millisecond

// Wait blocks until a container has met the condition, and returns its exit code:
// "not-running" (also "") is met at once by one that does not run, "next-exit" by
// the next end only, "removed" when the container is gone.
func (e *Engine) Wait(ctx context.Context, ref, condition string) (exitCode int, err error) {
	defer e.tidy()()
	c, err := e.Store.Find(ref)
	if err != nil {
		return 0, err
	}
	switch condition {
	case "", "not-running":
		return waitEnd(ctx, c)
	case "next-exit":
		if err := waitFor(ctx, c, func(s *store.State) bool { return s.Alive() }); err != nil {
			return 0, err
		}
		return waitEnd(ctx, c)
	case "removed":
		code, err := waitEnd(ctx, c)
		if err != nil {
			return 0, gone(err)
		}
		err = waitFor(ctx, c, func(*store.State) bool { return false })
		return code, gone(err)
	}
	return 0, fmt.Errorf("invalid condition %q: it is none of %v", condition, WaitConditions())
}

// waitEnd returns the exit code once the container does not run.
func waitEnd(ctx context.Context, c *store.Container) (int, error) {
	for {
		state, err := c.State()
		if err != nil {
			return 0, err
		}
		if !state.Up() {
			return state.ExitCode, nil
		}
		client, err := conmon.Dial(c)
		if err == nil {
			var exited conmon.Exited
			exited, err = client.Wait(ctx)
			client.Close()
			if err == nil {
				return exited.Code, nil
			}
		}
		if !errors.Is(err, conmon.ErrGone) {
			return 0, err
		}
		// The shim is on its way out or was killed: the state tells in a moment.
		if err := pause(ctx, settlePoll); err != nil {
			return 0, err
		}
	}
}

// waitFor looks at the state again and again. It ends with ErrNoContainer when the
// container goes.
func waitFor(ctx context.Context, c *store.Container, met func(*store.State) bool) error {
	for {
		state, err := c.State()
		if err != nil {
			return err
		}
		if met(state) {
			return nil
		}
		if err := pause(ctx, waitPoll); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
