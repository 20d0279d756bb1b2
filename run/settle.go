package run

import (
	"context"
	"errors"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// Between the end of a container's process and the state that tells of it, its
// shim unmounts and cleans up, and does not listen any more.
const (
	settleLimit = 10 * time.Second
	settlePoll  = 2 * time.Millisecond
)

// settle returns the state of a container, waiting where it is about to end. A
// state that is Up then means that the shim listens, or does not answer at all.
func settle(ctx context.Context, c *store.Container) (*store.State, error) {
	deadline := time.Now().Add(settleLimit)
	for {
		state, err := c.State()
		if err != nil || !state.Up() {
			return state, err
		}
		client, err := conmon.Dial(c)
		if err == nil {
			client.Close()
			return state, nil
		}
		if !errors.Is(err, conmon.ErrGone) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return state, nil
		}
		if err := pause(ctx, settlePoll); err != nil {
			return nil, err
		}
	}
}
