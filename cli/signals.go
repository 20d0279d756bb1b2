package cli

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP
// cancels, with an [interruption] as its cause. A second one of them ends the
// process at once. Signals that were ignored when the process started (nohup,
// background jobs of a script) stay ignored.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var wanted []os.Signal
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if !signal.Ignored(s) {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return ctx, func() { cancel(nil) }
	}
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, wanted...)
	go func() {
		select {
		case s := <-arrived:
			signal.Stop(arrived)
			cancel(&interruption{s.(unix.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		cancel(nil)
	}
}
