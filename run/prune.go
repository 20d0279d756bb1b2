package run

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/skiff-containers/skiff/store"
)

// Prune removes the containers that do not run, and returns their ids and how many
// bytes they had written. Filters are those of [Engine.List]. One that is started
// meanwhile stays, and so does one that a container requires that stays.
func (e *Engine) Prune(ctx context.Context, filters map[string][]string) (removed []string, bytes int64, err error) {
	all, err := e.List(ctx, ListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, 0, err
	}
	var failed []error
	for _, row := range all {
		if row.State.Status != store.Created && row.State.Status != store.Exited {
			continue
		}
		c, err := e.Store.Find(row.Record.ID)
		if err != nil {
			continue // it went meanwhile
		}
		if errors.Is(e.unrequired(c, RemoveOptions{}), ErrRequired) {
			continue // those that require it are newer: they have had their turn
		}
		written, _ := e.Store.Written(c)
		switch err := remove(c); {
		case err == nil:
			removed = append(removed, c.ID)
			bytes += written
		case !errors.Is(err, store.ErrRunning) && !errors.Is(err, store.ErrNoContainer):
			failed = append(failed, err)
		}
		if err := ctx.Err(); err != nil {
			return removed, bytes, err
		}
	}
	e.emitPrune("container", bytes)
	return removed, bytes, errors.Join(failed...)
}

// PruneImages removes the images that no container was made from: those without a
// name, or with all every one. Filters are those of [Engine.Images].
func (e *Engine) PruneImages(ctx context.Context, all bool, filters map[string][]string) (deleted []ImageDeleted, bytes int64, err error) {
	rows, err := e.Images(ctx, ImageListOptions{Filters: filters})
	if err != nil {
		return nil, 0, err
	}
	var seen []string
	var failed []error
	for _, row := range rows {
		if row.Containers > 0 || !all && row.Repository != noName {
			continue
		}
		name := row.ID
		if row.Repository != noName && row.Tag != noName {
			name = row.Repository + ":" + row.Tag
		} else if row.Repository != noName {
			name = row.Repository + "@" + row.Digest
		}
		done, err := e.RemoveImage(ctx, name, false)
		deleted = append(deleted, done...)
		if err != nil && !errors.Is(err, store.ErrNoImage) {
			failed = append(failed, err)
		}
		gone := slices.ContainsFunc(done, func(d ImageDeleted) bool { return d.Deleted == row.ID })
		if gone && !slices.Contains(seen, row.ID) {
			seen = append(seen, row.ID)
			bytes += row.Size
		}
	}
	e.emitPrune("image", bytes)
	return deleted, bytes, errors.Join(failed...)
}

func (e *Engine) emitPrune(kind string, bytes int64) {
	e.Store.Emit(store.Event{Type: kind, Action: "prune", Attributes: map[string]string{"reclaimed": strconv.FormatInt(bytes, 10)}})
}
