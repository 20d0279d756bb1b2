package run

import (
	"context"
	"errors"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// defaultStopTimeout is Docker's.
const defaultStopTimeout = 10 * time.Second

// Stop ends a container: its stop signal, then SIGKILL after the timeout. One that
// does not run is no error.
func (e *Engine) Stop(ctx context.Context, ref string, o StopOptions) error {
	defer e.tidy()()
	c, err := e.Store.Find(ref)
	if err != nil {
		return err
	}
	return e.stop(ctx, c, o)
}

func (e *Engine) stop(ctx context.Context, c *store.Container, o StopOptions) (err error) {
	state, err := settle(ctx, c)
	if err != nil || !state.Up() {
		return err
	}
	r, err := c.Record()
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			e.emit(r, "stop")
		}
	}()
	signal, err := stopSignal(r, o.Signal)
	if err != nil {
		return err
	}
	limit := stopTimeout(r, o.Timeout)
	if limit == 0 {
		return e.kill(ctx, c)
	}
	ended, err := e.signalAndWait(ctx, c, signal, limit)
	if ended || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return e.kill(ctx, c)
}

// stopSignal is the one asked for, else the container's, else SIGTERM. What an
// image says and nobody understands is passed over, as Docker does.
func stopSignal(r *store.Record, asked string) (int, error) {
	if asked != "" {
		return ParseSignal(asked)
	}
	if n, err := ParseSignal(r.Config.StopSignal); err == nil {
		return n, nil
	}
	return int(unix.SIGTERM), nil
}

func stopTimeout(r *store.Record, asked *time.Duration) time.Duration {
	switch {
	case asked != nil:
		return *asked
	case r.Config.StopTimeout != nil:
		return time.Duration(*r.Config.StopTimeout) * time.Second
	}
	return defaultStopTimeout
}
