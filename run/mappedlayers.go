package run

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sync/errgroup"
)

// MappingOf returns what a container's ids mean in skiff's user namespace U, or nil
// where they are U's own. Files in the container's writable layer have owners of U:
// [userns.Inside] turns them into what the container sees.
func MappingOf(r *store.Record) (*userns.Mapping, error) {
	return r.HostConfig.IDMappings.Mapping()
}

// layerMap names the trees of the image's layers that the container sees. In U with
// a single id there is one owner only, which is right for any mapping.
func layerMap(r *store.Record) string {
	m, err := MappingOf(r)
	if err != nil || m == nil || single(m) {
		return ""
	}
	return store.MapName(m)
}

func single(m *userns.Mapping) bool {
	return len(m.UIDs) == 1 && m.UIDs[0].Size == 1 && m.UIDs[0].Outside == 0
}

// mapLayers makes the trees of the image's layers for the container's ids, where they
// are missing: all at once, as many as there are processors. No lock is held but those
// of the trees, so that two containers share the work and nobody else waits.
func (e *Engine) mapLayers(ctx context.Context, r *store.Record, progress registry.Progress) error {
	name := layerMap(r)
	if name == "" {
		return nil
	}
	var missing []string
	for _, layer := range r.Image.Layers {
		if !e.Store.HasMapped(layer, name) && !slices.Contains(missing, layer) {
			missing = append(missing, layer)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	mapping, err := MappingOf(r)
	if err != nil {
		return err
	}
	// Else an image that is removed meanwhile would take its layers along one by one.
	pin, err := e.Store.Pin(missing)
	if err != nil {
		return err
	}
	defer pin.Release()
	if progress != nil {
		progress.Update(registry.Event{Phase: registry.Status, Text: fmt.Sprintf("Preparing image %q for other ids (once; see --userns)", r.Image.Reference)})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, layer := range missing {
		group.Go(func() error { return e.mapLayer(ctx, layer, mapping, progress) })
	}
	return group.Wait()
}

func (e *Engine) mapLayer(ctx context.Context, layer string, m *userns.Mapping, progress registry.Progress) error {
	info, err := e.Store.Layer(layer)
	if err != nil {
		return err
	}
	tell := func(phase registry.Phase, current int64) {
		if progress != nil {
			progress.Update(registry.Event{ID: strings.TrimPrefix(layer, "sha256:")[:12], Phase: phase, Current: current, Total: info.Size})
		}
	}
	tell(registry.Mapping, 0)
	err = e.Store.MapLayer(ctx, layer, m, func() { tell(registry.Waiting, 0) }, func(n int64) { tell(registry.Mapping, n) })
	if err == nil {
		tell(registry.Mapped, info.Size)
	}
	return err
}
