package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// killLimit is how long the end of a killed container is awaited. Only a process
// that hangs in the kernel takes so long.
const killLimit = 10 * time.Second

// shimLimit is how long a shim that did not answer may take to notice the end.
const shimLimit = 2 * time.Second

// Kill sends a signal, by name or number ("" is KILL), to a running container's
// first process. After SIGKILL it returns when the container has ended.
func (e *Engine) Kill(ctx context.Context, ref, signal string) error {
	defer e.tidy()()
	number := int(unix.SIGKILL)
	if signal != "" {
		var err error
		if number, err = ParseSignal(signal); err != nil {
			return err
		}
	}
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	client, err := e.dialUp(ctx, c, r, "kill")
	if err != nil {
		return err
	}
	if number == int(unix.SIGKILL) {
		client.Close()
		return e.kill(ctx, c)
	}
	defer client.Close()
	err = client.Signal(ctx, number, false) // whether it asks for the end the shim knows
	if err == nil {
		e.emit(r, "kill", "signal", strconv.Itoa(number))
	}
	return notRunning(r, "kill", err)
}

// kill ends a container at once and returns when it has ended. One that has ended
// already, or is gone, is no error.
func (e *Engine) kill(ctx context.Context, c *store.Container) error {
	_, err := e.signalAndWait(ctx, c, int(unix.SIGKILL), killLimit)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	// The shim does not answer: the process itself is asked.
	state, stateErr := c.State()
	if stateErr != nil {
		return gone(stateErr)
	}
	if err := state.Init.KillAndWait(killLimit); err != nil {
		return fmt.Errorf("killing container %.12s: %w", c.ID, err)
	}
	// So may the shim be: a container on the host's PIDs can have stopped it.
	if state.Shim.Wait(shimLimit) != nil {
		if err := state.Shim.KillAndWait(killLimit); err != nil {
			return fmt.Errorf("killing the shim of container %.12s: %w", c.ID, err)
		}
	}
	return gone(c.AwaitShim())
}

// gone takes the absence of a container for what was wanted.
func gone(err error) error {
	if errors.Is(err, store.ErrNoContainer) {
		return nil
	}
	return err
}

// signalAndWait sends a signal to a container that is to end and waits for that, at most so
// long (negative: without end). ended tells whether it has; context.DeadlineExceeded
// is the error where the time was too short.
func (e *Engine) signalAndWait(ctx context.Context, c *store.Container, signal int, limit time.Duration) (ended bool, err error) {
	waiter, err := conmon.Dial(c)
	if errors.Is(err, conmon.ErrGone) {
		return true, settled(c)
	}
	if err != nil {
		return false, err
	}
	defer waiter.Close()
	if limit >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	r, _ := c.Record() // while it is there
	if err := sendSignal(ctx, c, signal); err != nil {
		return false, err
	}
	if r != nil {
		e.emit(r, "kill", "signal", strconv.Itoa(signal))
	}
	exited, err := waiter.Wait(ctx)
	if errors.Is(err, conmon.ErrGone) {
		return true, settled(c)
	}
	if err == nil && exited.Again { // the signal came between two lives, of which the first was told
		_, err = waitEnd(ctx, c)
	}
	return err == nil, gone(err)
}

// sendSignal sends a signal after which no policy starts the container again. It is no error where the container ends meanwhile.
func sendSignal(ctx context.Context, c *store.Container, signal int) error {
	client, err := conmon.Dial(c)
	if errors.Is(err, conmon.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Signal(ctx, signal, true); err != nil && !errors.Is(err, conmon.ErrGone) {
		return err
	}
	return nil
}

// settled looks at a container whose shim does not listen: State ends what a
// killed shim left.
func settled(c *store.Container) error {
	_, err := c.State()
	return gone(err)
}
