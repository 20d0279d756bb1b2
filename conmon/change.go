package conmon

import (
	"context"
	"errors"
	"fmt"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
)

// Pause stops all processes of the container, or with false lets them go on, and
// returns when that is done. The error is a *[Failure] where it is not.
func (c *Client) Pause(ctx context.Context, pause bool) error {
	return c.change(ctx, kindPause, PauseRequest{pause})
}

// Policy has the container go by another restart policy from its next end on.
func (c *Client) Policy(ctx context.Context, p store.RestartPolicy) error {
	return c.change(ctx, kindPolicy, PolicyRequest{p})
}

// change asks for what is answered by Done or Failure, and gives up with the context:
// a shim may be stopped.
func (c *Client) change(ctx context.Context, kind wire.Kind, request any) error {
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	if err := c.conn.Send(kind, request); err != nil {
		return errors.Join(ctx.Err(), gone(err))
	}
	k, body, _, err := c.conn.Recv()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return gone(err)
	case k == kindDone:
		return nil
	case k == kindFailure:
		failure, err := wire.Decode[Failure](body)
		if err != nil {
			return err
		}
		return &failure
	}
	return fmt.Errorf("changing a container: unexpected answer %d to %d", k, kind)
}

// serveChange carries out such a request.
func (s *shim) serveChange(c *wire.Conn, k wire.Kind, body []byte) {
	defer c.Close()
	var err error
	if k == kindPause {
		var request PauseRequest
		if request, err = wire.Decode[PauseRequest](body); err == nil {
			// Where no process of exec is being started meanwhile.
			s.onMainThread(func() { err = s.pause(request.Pause) })
		}
	} else {
		var request PolicyRequest
		if request, err = wire.Decode[PolicyRequest](body); err == nil {
			s.mu.Lock()
			s.policy = policy{RestartPolicy: request.Policy}
			s.mu.Unlock()
		}
	}
	if err != nil {
		c.Send(kindFailure, failure(err))
		return
	}
	c.Send(kindDone, nil)
}
