package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// How long a passing fault is put up with: so many attempts without any progress,
// with growing pauses between.
const (
	attempts   = 7
	firstPause = 200 * time.Millisecond
	maxPause   = 15 * time.Second
)

// retry calls try until it succeeds, fails for good, or has failed too often.
func (c *client) retry(ctx context.Context, id string, try func() error) error {
	for failures := 0; ; {
		err := try()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if failures++; failures >= attempts {
			return fmt.Errorf("giving up after %d attempts: %w", failures, err)
		}
		if err := c.pause(ctx, id, failures, err); err != nil {
			return err
		}
	}
}

// pause waits before the next attempt: as long as the registry asked for, else
// twice as long each time, with some chance in it so that many clients do not
// come back together.
func (c *client) pause(ctx context.Context, id string, failures int, cause error) error {
	wait := min(firstPause<<(failures-1), maxPause)
	wait = wait/2 + rand.N(wait)
	var status *statusError
	if errors.As(cause, &status) && status.retryAfter > 0 {
		wait = status.retryAfter
	}
	text := fmt.Sprintf("in %v: %v", wait.Round(100*time.Millisecond), cause)
	if id == "" { // of no layer, so that nothing else tells what is done
		c.tell(Event{Phase: Status, Text: "Retrying " + text})
	} else {
		c.tell(Event{ID: id, Phase: Retrying, Text: text})
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
