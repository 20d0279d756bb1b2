package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LayerInfo is layers/<hex>.json: what was learnt when a layer was unpacked.
type LayerInfo struct {
	DiffID  string // digest of the uncompressed tar, "sha256:…"
	Blob    string // digest of the blob that it came from; empty for a layer that skiff made
	Size    int64  // bytes of its regular files
	Entries int
	Skipped int // device nodes, which the user namespace may not make
	// Implicit are directories that the tar did not list although it has entries
	// below them, without a leading slash; the root is "". Their attributes are
	// those of the layers below.
	Implicit []string `json:",omitempty"`
	// Whiteouts says that the layer hides something of those below.
	Whiteouts bool `json:",omitempty"`
}

// LayerPath is the root of a layer's unpacked tree: the directory to hand to
// overlayfs. It exists exactly when the layer is complete.
func (s *Store) LayerPath(diffID string) string { return LayerTree(s.Root, diffID) }

// LayerTree is [Store.LayerPath] in the store at root.
func LayerTree(root, diffID string) string {
	hex, err := digestHex(diffID)
	if err != nil {
		hex = ".invalid" // names with a dot are never complete layers
	}
	return filepath.Join(root, "layers", hex)
}

// HasLayer tells whether a layer is unpacked completely.
func (s *Store) HasLayer(diffID string) bool {
	_, err := os.Lstat(s.LayerPath(diffID))
	return err == nil
}

// Layer reads what is known of a complete layer.
func (s *Store) Layer(diffID string) (*LayerInfo, error) {
	if !s.HasLayer(diffID) {
		return nil, fmt.Errorf("%w: %s", ErrNoLayer, diffID)
	}
	info := &LayerInfo{DiffID: diffID}
	if err := ReadJSON(s.LayerPath(diffID)+".json", info); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading layer %s: %w", diffID, err)
	}
	return info, nil
}

// ErrNoLayer is a layer that is not in the store.
var ErrNoLayer = errors.New("no such layer")

// LayerLock is the right to make one layer.
type LayerLock struct {
	file *os.File
	path string
}

// LockLayer waits until no other process makes the layer; waiting is called once
// where that takes time. The lock's file goes with the lock.
func (s *Store) LockLayer(ctx context.Context, diffID string, waiting func()) (*LayerLock, error) {
	hex, err := digestHex(diffID)
	if err != nil {
		return nil, err
	}
	return s.lockTree(ctx, hex, waiting)
}

// lockTree is LockLayer for any tree in layers/, by its name.
func (s *Store) lockTree(ctx context.Context, name string, waiting func()) (*LayerLock, error) {
	path := s.path("tmp", "making-"+name) // not in locks/, which is never swept
	f, err := WaitBusy(ctx, waiting, func() (*os.File, error) { return lockFile(path) })
	if err != nil {
		return nil, fmt.Errorf("locking layer %s: %w", name, err)
	}
	return &LayerLock{f, path}, nil
}

// Unlock gives the layer's lock back.
func (l *LayerLock) Unlock() {
	os.Remove(l.path) // while held: see lockFile
	l.file.Close()
}

// WaitBusy calls try again while it fails with ErrBusy. flock(2) cannot wait and
// be given up at the same time, so it asks 10 to 20 times a second.
func WaitBusy[T any](ctx context.Context, waiting func(), try func() (T, error)) (T, error) {
	pause := 5 * time.Millisecond
	for first := true; ; first = false {
		got, err := try()
		if !errors.Is(err, ErrBusy) {
			return got, err
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return got, context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(pause*2, 100*time.Millisecond)
	}
}

// StagedLayer is a layer while it is unpacked: a directory layers/.<random>. It
// lies beside its final name because renaming a directory within one folder needs
// no permission over the directory itself, which may belong to a subordinate id or
// be 0555. For the same reason its lock is a file of its own, tmp/layer-<random>,
// by which [Store.Sweep] finds what a dead process left.
type StagedLayer struct {
	Dir   *os.File // to be passed on to who unpacks
	Lock  *os.File // to be passed on as well: whoever has it open keeps the directory
	store *Store
	path  string
}

// layerMarker is the beginning of the names in tmp/ that stand for a tree in layers/.
const layerMarker = "layer-"

// markTree makes a fresh name in tmp/ and locks it: path is the tree that it stands for.
func (s *Store) markTree() (marker *os.File, path string, err error) {
	if marker, err = s.freshFile(layerMarker); err != nil {
		return nil, "", err
	}
	path, _ = s.markedTree(filepath.Base(marker.Name()))
	return marker, path, nil
}

// markedTree is the tree that a name in tmp/ stands for.
func (s *Store) markedTree(name string) (path string, ok bool) {
	id, ok := strings.CutPrefix(name, layerMarker)
	return s.path("layers", "."+id), ok
}

// StageLayer makes an empty directory to unpack a layer into.
func (s *Store) StageLayer() (l *StagedLayer, err error) {
	l = &StagedLayer{store: s}
	if l.Lock, l.path, err = s.markTree(); err != nil {
		return nil, fmt.Errorf("staging a layer: %w", err)
	}
	if err = mkdirForAll(l.path); err == nil {
		l.Dir, err = os.OpenFile(l.path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("staging a layer: %w", err)
	}
	return l, nil
}

// Commit makes the directory the layer. The caller has verified the diff id and,
// for Durable, had the file system synced (syncfs(2)). Where the layer came to be
// meanwhile that one stays, and os.ErrExist comes back.
func (l *StagedLayer) Commit(info *LayerInfo, d Durability) error {
	final := l.store.LayerPath(info.DiffID)
	if l.store.HasLayer(info.DiffID) {
		return fmt.Errorf("completing layer %s: %w", info.DiffID, os.ErrExist)
	}
	if err := l.store.writeJSON(final+".json", info, d); err != nil {
		return fmt.Errorf("completing layer %s: %w", info.DiffID, err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, l.path, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("completing layer %s: %w", info.DiffID, err)
	}
	if d == Durable {
		return SyncFolder(l.store.path("layers"))
	}
	return nil
}

// Close gives the directory up where it was not committed. Who unpacked has
// emptied it before; else [Store.Sweep] finds it by its lock.
func (l *StagedLayer) Close() {
	if err := os.Remove(l.path); err == nil || errors.Is(err, os.ErrNotExist) {
		os.Remove(l.Lock.Name())
	}
	l.Lock.Close()
	if l.Dir != nil {
		l.Dir.Close()
	}
}

// Discard deletes what was unpacked, and gives the directory up.
func (l *StagedLayer) Discard() error {
	err := l.store.RemoveTree(l.path)
	l.Close()
	return err
}

// unlinkLayer takes a layer out of the store, first what other mappings have made of
// it. What it returns deletes the trees; where nobody does, the next [Store.Sweep]. The
// caller holds the lock on images exclusively.
func (s *Store) unlinkLayer(diffID string) (remove []func() error, err error) {
	paths, err := s.mappedBeside(diffID)
	if err != nil {
		return nil, err
	}
	for _, path := range append(paths, s.LayerPath(diffID)) {
		one, err := s.unlinkTree(path)
		if err != nil {
			return remove, err
		}
		remove = append(remove, one)
	}
	os.Remove(s.LayerPath(diffID) + ".json")
	return remove, nil
}

// unlinkTree takes one tree out of layers/ in one step.
func (s *Store) unlinkTree(path string) (remove func() error, err error) {
	marker, gone, err := s.markTree()
	if err != nil {
		return nil, err
	}
	if err := os.Rename(path, gone); err != nil {
		os.Remove(marker.Name())
		marker.Close()
		return nil, err
	}
	return func() error {
		defer marker.Close()
		if err := s.RemoveTree(gone); err != nil {
			return err
		}
		return os.Remove(marker.Name())
	}, nil
}

// LayersPath is the folder that holds the trees of all layers.
func (s *Store) LayersPath() string { return s.path("layers") }
