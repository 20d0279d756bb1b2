package completions

import (
	"context"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// Containers are the names of containers in one of the states, or in any where
// none is given. Those of used are left out. Where the word that is being typed
// looks like the beginning of an id, ids are offered as well. What a name stands
// for follows after a tab.
func Containers(ctx context.Context, e *run.Engine, word string, used []string, states ...store.Status) []string {
	all, err := e.List(ctx, run.ListOptions{All: true})
	if err != nil {
		return nil
	}
	var names []string
	for _, c := range all {
		if len(states) > 0 && !slices.Contains(states, c.State.Status) {
			continue
		}
		if slices.Contains(used, c.Record.Name) {
			continue
		}
		about := "\t" + oneLine(c.Record.Image.Reference) + ", " + string(c.State.Status)
		names = append(names, c.Record.Name+about)
		if id := c.Record.ID[:12]; word != "" && strings.HasPrefix(id, word) {
			names = append(names, id+about)
		}
	}
	return names
}

// Images are the names of images, with their tags. Those of used are left out.
func Images(ctx context.Context, e *run.Engine, used []string) []string {
	all, err := e.Images(ctx, run.ImageListOptions{})
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range all {
		if i.Repository == "" || i.Repository == "<none>" {
			continue
		}
		name := i.Repository
		if i.Tag != "" && i.Tag != "<none>" {
			name += ":" + i.Tag
		}
		if !slices.Contains(used, name) {
			names = append(names, name)
		}
	}
	return names
}

// Networks are the names of networks, with their drivers after a tab; with predefined
// those too that every store has. Those of used are left out.
func Networks(ctx context.Context, e *run.Engine, used []string, predefined bool) []string {
	all, err := e.NetworkList(ctx, nil)
	if err != nil {
		return nil
	}
	var names []string
	for _, n := range all {
		if (predefined || !n.Predefined) && !slices.Contains(used, n.Name) {
			names = append(names, n.Name+"\t"+n.Driver)
		}
	}
	return names
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
