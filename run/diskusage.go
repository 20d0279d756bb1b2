package run

import (
	"context"

	"github.com/skiff-containers/skiff/store"
)

// DiskUsage is what one kind of thing takes on disk. A layer that several images share
// counts once.
type DiskUsage struct {
	Type        string // Docker's words: "Images", "Containers", "Local Volumes", "Build Cache"
	Total       int
	Active      int   // used by a container, or running
	Size        int64 // bytes
	Reclaimable int64 // bytes that pruning would free
}

// DiskUsage tells what the store takes. There are no volumes and no build cache yet,
// which take nothing.
func (e *Engine) DiskUsage(ctx context.Context) ([]DiskUsage, error) {
	defer e.tidy()()
	images, err := e.imageUsage()
	if err != nil {
		return nil, err
	}
	containers, err := e.containerUsage(ctx)
	if err != nil {
		return nil, err
	}
	return []DiskUsage{images, containers, {Type: "Local Volumes"}, {Type: "Build Cache"}}, nil
}

func (e *Engine) imageUsage() (DiskUsage, error) {
	u := DiskUsage{Type: "Images"}
	all, err := e.Store.Images()
	if err != nil {
		return u, err
	}
	users, err := e.imageUsers()
	if err != nil {
		return u, err
	}
	used := map[string]bool{} // layers, by whether a container needs them
	for _, img := range all {
		active := users[img.Manifest] > 0
		u.Total++
		if active {
			u.Active++
		}
		for _, layer := range img.Layers {
			used[layer] = used[layer] || active
		}
	}
	for layer, needed := range used {
		info, err := e.Store.Layer(layer)
		if err != nil {
			continue // it went meanwhile
		}
		u.Size += info.Size
		if !needed {
			u.Reclaimable += info.Size
		}
	}
	return u, nil
}

func (e *Engine) containerUsage(ctx context.Context) (DiskUsage, error) {
	u := DiskUsage{Type: "Containers"}
	all, err := e.List(ctx, ListOptions{All: true})
	if err != nil {
		return u, err
	}
	for _, row := range all {
		c, err := e.Store.Find(row.Record.ID)
		if err != nil {
			continue // it went meanwhile
		}
		written, err := e.Store.Written(c)
		if err != nil {
			return u, err
		}
		u.Total++
		u.Size += written
		if row.State.Alive() || row.State.Status == store.Restarting {
			u.Active++
		} else {
			u.Reclaimable += written
		}
	}
	return u, nil
}
