package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// fixUpID names the fix-up layer of a stack of layers. It is no digest of content,
// but as unique as one.
func fixUpID(layers []string) string {
	return store.Digest([]byte("skiff fix-up layer, version 1\n" + strings.Join(layers, "\n")))
}

// mend makes the fix-up layer where the layers, lowest first, need one.
func mend(ctx context.Context, s *store.Store, layers []*store.LayerInfo, id string, d store.Durability) (needed bool, err error) {
	if !mayNeedFixUp(s, layers) {
		return false, nil
	}
	lock, err := s.LockLayer(ctx, id, nil)
	if err != nil {
		return false, err
	}
	defer lock.Unlock()
	if s.HasLayer(id) {
		return true, nil
	}
	staged, err := s.StageLayer()
	if err != nil {
		return false, err
	}
	u := &unpacked{staged: staged}
	u.result, err = runFixUp(ctx, s, staged, layers)
	if err != nil || len(u.result.Implicit) == 0 {
		return false, errors.Join(err, staged.Discard())
	}
	u.info.DiffID = id
	if err := u.commit("", d); err != nil {
		return false, err
	}
	return true, nil
}

// mayNeedFixUp tells whether it is worth looking: some layer above the lowest has
// directories that it does not list, and for the root alone, whose attributes this
// process can see, that these are lost.
func mayNeedFixUp(s *store.Store, layers []*store.LayerInfo) bool {
	rootListed := false
	for i, l := range layers {
		for _, name := range l.Implicit {
			if name != "" && i > 0 {
				return true
			}
		}
		if len(l.Implicit) == 0 || l.Implicit[0] != "" {
			rootListed = rootListed || i < len(layers)-1 && !plainRoot(s.LayerPath(l.DiffID))
		}
	}
	return rootListed
}

// plainRoot tells whether a directory looks like one that was made up.
func plainRoot(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&0o7777 == 0o755 && int(st.Uid) == os.Geteuid()
}

func runFixUp(ctx context.Context, s *store.Store, staged *store.StagedLayer, layers []*store.LayerInfo) (*unpack.Result, error) {
	folder, err := os.Open(s.LayersPath())
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	var image unpack.FixUp
	for _, l := range layers {
		image.Layers = append(image.Layers, unpack.FixUpLayer{Name: strings.TrimPrefix(l.DiffID, "sha256:"), Implicit: l.Implicit})
	}
	st, err := startStage(ctx, s, unpack.FixUpStage,
		userns.File{Name: "layers", File: folder}, userns.File{Name: "layer", File: staged.Dir}, userns.File{Name: "lock", File: staged.Lock})
	if err != nil {
		return nil, err
	}
	sendErr := json.NewEncoder(st.stdin).Encode(image)
	report, err := st.finish()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case report.Error != "":
		return nil, fmt.Errorf("running %s: %s", unpack.FixUpStage, report.Error)
	}
	return report.Result, sendErr
}
