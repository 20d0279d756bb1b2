package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// freezeLimit is how long a shim may take to stop all processes: it gives up itself before.
const freezeLimit = 15 * time.Second

// Pause stops all processes of a running container until [Engine.Unpause].
func (e *Engine) Pause(ctx context.Context, ref string) error {
	return e.freeze(ctx, ref, "pause", true)
}

// Unpause lets the processes of a paused container go on.
func (e *Engine) Unpause(ctx context.Context, ref string) error {
	return e.freeze(ctx, ref, "unpause", false)
}

func (e *Engine) freeze(ctx context.Context, ref, verb string, pause bool) error {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	state, err := c.State()
	switch {
	case err != nil:
		return err
	case pause && state.Status == store.Paused:
		return fmt.Errorf("cannot pause container %q: it is already paused", r.Name)
	case !pause && state.Alive() && state.Status != store.Paused:
		return fmt.Errorf("cannot unpause container %q: it is not paused", r.Name)
	}
	client, err := conmon.Dial(c)
	if err != nil {
		return notRunning(r, verb, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, freezeLimit)
	defer cancel()
	err = client.Pause(ctx, pause)
	if err == nil || errors.Is(err, conmon.ErrGone) {
		return notRunning(r, verb, err)
	}
	return fmt.Errorf("cannot %s container %q: %w", verb, r.Name, err)
}
