package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
)

// Diff tells what a container has changed of its image's files, or an image's topmost
// layer of those below, sorted by path.
func (e *Engine) Diff(ctx context.Context, ref string) ([]archive.Change, error) {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if errors.Is(err, store.ErrNoContainer) {
		return e.diffImage(ref, err)
	}
	if err != nil {
		return nil, err
	}
	stack := e.stack(c, r)
	driver, mounted := stack.Settled()
	switch {
	case r.Driver == store.Bind:
		return nil, fmt.Errorf("comparing container %q: its root is the folder %q, and there is no image to compare with", r.Name, r.Rootfs)
	case !mounted:
		return nil, nil
	}
	return e.compare(archive.Comparison{Upper: filepath.Join(c.Dir, "upper"), Lowers: stack.Lowers(), Whole: driver == store.Copy})
}

func (e *Engine) diffImage(ref string, noContainer error) ([]archive.Change, error) {
	img, _, err := registry.Find(e.Store, ref)
	if errors.Is(err, store.ErrNoImage) {
		return nil, noContainer
	}
	if err != nil {
		return nil, err
	}
	release, err := e.hold(img)
	if err != nil {
		return nil, err
	}
	defer release()
	lowers := store.Stack{Store: e.Store.Root, Layers: img.Layers}.Lowers()
	if len(lowers) == 0 {
		return nil, nil
	}
	return e.compare(archive.Comparison{Upper: lowers[0], Lowers: lowers[1:]})
}

// compare has the stage compare, who may read what belongs to subordinate ids.
func (e *Engine) compare(c archive.Comparison) (changes []archive.Change, err error) {
	session, err := archive.Open(e.Store, archive.Root{}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	return session.Compare(c)
}
