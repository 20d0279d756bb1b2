package run

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/store"
)

// NetworkExists tells whether a network has that name or id.
func (e *Engine) NetworkExists(ctx context.Context, ref string) (bool, error) {
	for _, m := range modeNetworks {
		if ref == string(m) {
			return true, nil
		}
	}
	_, err := findNetwork(e.Store, ref)
	if errors.Is(err, store.ErrNoNetwork) {
		return false, nil
	}
	return err == nil || errors.Is(err, errSeveralNetworks), err
}
