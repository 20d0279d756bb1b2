package run

import (
	"context"
	"errors"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// NetworkCreate makes a network and returns its id. It wraps store.ErrNetworkExists.
func (e *Engine) NetworkCreate(ctx context.Context, o *NetworkCreateOptions) (id string, err error) {
	defer e.tidy()()
	if o.Labels, err = parseLabels(nil, o.LabelSpecs, nil); err != nil {
		return "", err
	}
	n, notices, err := netns.Create(e.Store, &o.CreateOptions)
	if o.Ignore && errors.Is(err, store.ErrNetworkExists) {
		if n, err = e.Store.Network(o.Name); err == nil {
			return n.ID, nil
		}
	}
	if err != nil {
		return "", err
	}
	for _, text := range notices {
		e.say(text)
	}
	e.emitNetwork("create", n, "")
	return n.ID, nil
}
