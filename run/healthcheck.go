package run

import (
	"context"
)

// CheckHealth runs a running container's health check now and tells whether it went
// well, and what the container's health is by now ("starting", "healthy" or "unhealthy").
func (e *Engine) CheckHealth(ctx context.Context, ref string) (passed bool, status string, err error) {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return false, "", err
	}
	client, err := e.dial(ctx, c, r, "check the health of")
	if err != nil {
		return false, "", err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, client.Close)
	defer stop()
	checked, err := client.Check()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return false, "", notRunning(r, "check the health of", err)
	}
	return checked.ExitCode == 0, checked.Status, nil
}
