package run

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/store"
)

// NetworkPrune removes the networks that no container, running or not, wants, and
// returns their names. Filters are label, label! and until.
func (e *Engine) NetworkPrune(ctx context.Context, filters map[string][]string) (removed []string, err error) {
	all, err := e.NetworkList(ctx, filters)
	if err != nil {
		return nil, err
	}
	used, err := e.wantedNetworks()
	if err != nil {
		return nil, err
	}
	networks, err := e.Store.Networks()
	if err != nil {
		return nil, err
	}
	for _, n := range networks {
		used[n.Options["parent"]]++ // a macvlan's
	}
	var failed []error
	for _, n := range all {
		if n.Predefined || used[n.Name] > 0 {
			continue
		}
		switch err := e.removeNetwork(n.Name); {
		case err == nil:
			removed = append(removed, n.Name)
		case !errors.Is(err, store.ErrNoNetwork):
			failed = append(failed, err)
		}
	}
	return removed, errors.Join(failed...)
}
