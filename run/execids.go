package run

import (
	"context"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// listLimit is how long a shim may take to tell of its processes: one that is stopped
// must not hold up inspect.
const listLimit = time.Second

// execsOf lists the processes of exec that run in a container; nil where there are
// none, or nobody tells.
func execsOf(ctx context.Context, c *store.Container) []string {
	client, err := conmon.Dial(c)
	if err != nil {
		return nil
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	ids, err := client.Execs(ctx)
	if err != nil {
		return nil
	}
	return ids
}
