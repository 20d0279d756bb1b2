package run

import "context"

// Restart stops a container where it runs, and starts it.
func (e *Engine) Restart(ctx context.Context, ref string, o StopOptions) error {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	if err := e.stop(ctx, c, o); err != nil {
		return err
	}
	if err := e.start(ctx, c, r); err != nil {
		return err
	}
	e.emit(r, "restart")
	return nil
}
