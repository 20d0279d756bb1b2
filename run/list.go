package run

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/skiff-containers/skiff/store"
)

// List returns the rows of ps, newest first. Containers that go meanwhile are left
// out; those whose files are damaged are told by a notice.
func (e *Engine) List(ctx context.Context, o ListOptions) ([]Summary, error) {
	defer e.tidy()()
	match, err := e.filters(o.Filters)
	if err != nil {
		return nil, err
	}
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	runningOnly := !o.All && o.Last == 0 && !match.status
	rows := make([]*Summary, len(all))
	damaged := make([]error, len(all))
	inParallel(len(all), func(i int) {
		if !match.mayBe(all[i].ID) {
			return
		}
		rows[i], damaged[i] = summarise(all[i], runningOnly)
	})
	var found []Summary
	for i, row := range rows {
		if damaged[i] != nil {
			e.say(damaged[i].Error())
		}
		if row != nil && match.row(row) {
			found = append(found, *row)
		}
	}
	slices.SortFunc(found, func(a, b Summary) int { return b.Record.Created.Compare(a.Record.Created) })
	if o.Last > 0 && len(found) > o.Last {
		found = found[:o.Last]
	}
	return found, ctx.Err()
}

// summarise reads one container; nil where it is not to be shown.
func summarise(c *store.Container, runningOnly bool) (*Summary, error) {
	state, err := c.State()
	if err != nil {
		return nil, gone(err)
	}
	if runningOnly && !state.Alive() && state.Status != store.Restarting {
		return nil, nil
	}
	r, err := c.Record()
	if err != nil {
		if errors.Is(err, store.ErrNoContainer) {
			return nil, nil
		}
		return nil, err
	}
	return &Summary{Record: r, State: state, Health: healthOf(c, r, state), Ports: portsOf(c, r, state)}, nil
}

// healthOf is what the shim last found a running container's health to be.
func healthOf(c *store.Container, r *store.Record, state *store.State) string {
	check := r.Config.Healthcheck
	if !state.Alive() || check == nil || len(check.Test) == 0 || check.Test[0] == "NONE" {
		return ""
	}
	h, err := store.ReadHealth(c.Dir)
	if err != nil || h == nil {
		return store.HealthStarting
	}
	return h.Status
}

// inParallel calls work for 0 to n-1 on all processors.
func inParallel(n int, work func(i int)) {
	workers := min(n/8, runtime.GOMAXPROCS(0))
	if workers < 2 {
		for i := range n {
			work(i)
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	wait.Wait()
}
