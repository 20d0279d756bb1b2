package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ImageUsedError is an image that containers were made from.
type ImageUsedError struct {
	Image      string   // id
	Containers []string // ids
}

func (e *ImageUsedError) Error() string {
	return fmt.Sprintf("image %.12s is used by container %.12s", strings.TrimPrefix(e.Image, digestPrefix), e.Containers[0])
}

// Removed says what [Store.RemoveImage] took out of the store.
type Removed struct {
	Refs    []Ref
	Digests []string // the image's id, then its layers' diff ids that nothing else needs
	trees   []func() error
}

// ImageUsers lists the containers that were made from an image, by id.
func (s *Store) ImageUsers(img *Image) ([]string, error) {
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	var users []string
	for _, r := range records {
		if r.Image.Manifest == img.Manifest {
			users = append(users, r.ID)
		}
	}
	return users, nil
}

// RemoveImage takes an image with all its names out of the store, and the blobs
// and layers that no other image, no container and no pull at work needs. Without
// force it fails with [*ImageUsedError] where containers were made from it; with
// force their layers stay until they go.
func (s *Store) RemoveImage(img *Image, force bool) (*Removed, error) {
	removed, err := s.unlinkImage(img, force)
	if removed == nil {
		return nil, err
	}
	return removed, errors.Join(err, removed.deleteTrees())
}

// deleteTrees deletes the unpacked layers, which takes a while and needs no lock.
func (r *Removed) deleteTrees() error {
	var failed []error
	for _, tree := range r.trees {
		failed = append(failed, tree())
	}
	return errors.Join(failed...)
}

func (s *Store) unlinkImage(img *Image, force bool) (*Removed, error) {
	lock, err := s.lockImages(exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	img, err = s.summary(img.Manifest)
	if err != nil {
		return nil, err
	}
	if !force {
		users, err := s.ImageUsers(img)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return nil, &ImageUsedError{img.ID, users}
		}
	}
	names, err := s.refs()
	if err != nil {
		return nil, err
	}
	removed := &Removed{Digests: []string{img.ID}}
	for _, n := range names {
		if n.Manifest != img.Manifest {
			continue
		}
		if err := s.removeRef(n.ref); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, fmt.Errorf("removing image %s: %w", img.ID, err)
		}
		removed.Refs = append(removed.Refs, n.ref)
	}
	sortRefs(removed.Refs)
	path, err := s.imagePath(img.Manifest)
	if err != nil {
		return removed, err
	}
	if err := os.Remove(path); err != nil {
		return removed, fmt.Errorf("removing image %s: %w", img.ID, err)
	}
	return removed, s.collect(removed, img.Layers, img.Blobs)
}

// Collect removes every blob and layer that no image, no container and no pull at
// work needs, such as the finished layers of a pull that failed, and unfinished
// blobs not written to since before.
func (s *Store) Collect(before time.Time) (*Removed, error) {
	removed, err := s.unlinkUnused(before)
	return removed, errors.Join(err, removed.deleteTrees())
}

func (s *Store) unlinkUnused(before time.Time) (*Removed, error) {
	removed := &Removed{}
	lock, err := s.lockImages(exclusive)
	if err != nil {
		return removed, err
	}
	defer lock.Unlock()
	layers, err := s.digestsIn(s.path("layers"))
	if err != nil {
		return removed, err
	}
	blobs, err := s.digestsIn(s.path("blobs", "sha256"))
	if err != nil {
		return removed, err
	}
	return removed, errors.Join(s.collect(removed, layers, blobs), s.collectPartial(before))
}

// digestsIn lists the names in a folder that are complete digests.
func (s *Store) digestsIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	var digests []string
	for _, e := range entries {
		if ValidDigest(digestPrefix + e.Name()) {
			digests = append(digests, digestPrefix+e.Name())
		}
	}
	return digests, nil
}

// collect removes those of the layers and blobs that are not used. The caller
// holds the lock on images exclusively.
func (s *Store) collect(removed *Removed, layers, blobs []string) error {
	used, err := s.used()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if used[layer] {
			continue
		}
		if info, err := s.Layer(layer); err == nil && info.Blob != "" {
			blobs = append(blobs, info.Blob)
		}
		trees, err := s.unlinkLayer(layer)
		removed.trees = append(removed.trees, trees...)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("removing layer %s: %w", layer, err)
		}
		removed.Digests = append(removed.Digests, layer)
	}
	for _, blob := range blobs {
		if used[blob] {
			continue
		}
		path, err := s.BlobPath(blob)
		if err != nil {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing blob %s: %w", blob, err)
		}
	}
	return nil
}

// used marks every digest that an image, a container or a pull needs. Blobs and
// diff ids share the set: both are hashes of content. The caller holds the lock
// on images exclusively.
func (s *Store) used() (map[string]bool, error) {
	used := map[string]bool{}
	layer := func(id string) {
		if used[id] {
			return
		}
		used[id] = true
		if info, err := s.Layer(id); err == nil && info.Blob != "" {
			used[info.Blob] = true // the tree can be made again from it
		}
	}
	images, err := s.Images()
	if err != nil {
		return nil, err
	}
	for _, img := range images {
		used[img.Manifest], used[img.Digest], used[img.ID] = true, true, true
		for _, blob := range img.Blobs {
			used[blob] = true
		}
		for _, id := range img.Layers {
			layer(id)
		}
	}
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		for _, id := range r.Image.Layers {
			layer(id)
		}
	}
	return used, s.pinned(layer)
}

// records reads the record of every container, also of those being made. One that
// cannot be read belongs to a --rm container that a power cut has emptied.
func (s *Store) records() ([]*Record, error) {
	var records []*Record
	for _, pattern := range []string{s.path("containers", "*", "record.json"), s.path("tmp", "create-*", "record.json")} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("listing containers: %w", err)
		}
		for _, path := range paths {
			var r Record
			if err := ReadJSON(path, &r); err == nil {
				records = append(records, &r)
			} else if errors.Is(err, fs.ErrPermission) {
				return nil, err
			}
		}
	}
	return records, nil
}

// collectPartial deletes unfinished blobs that nobody writes, and descriptions of
// layers that did not come to be, that are older than before.
func (s *Store) collectPartial(before time.Time) error {
	old := func(path string) bool {
		st, err := os.Lstat(path)
		return err == nil && st.ModTime().Before(before)
	}
	blobs, err := filepath.Glob(s.path("blobs", "sha256", "*"+partialSuffix))
	if err != nil {
		return fmt.Errorf("listing unfinished blobs: %w", err)
	}
	for _, path := range blobs {
		if !old(path) {
			continue
		}
		if f, err := lockFile(path); err == nil {
			os.Remove(path)
			f.Close()
		}
	}
	layers, err := filepath.Glob(s.path("layers", "*.json"))
	if err != nil {
		return fmt.Errorf("listing layers: %w", err)
	}
	for _, path := range layers {
		if _, err := os.Lstat(strings.TrimSuffix(path, ".json")); errors.Is(err, os.ErrNotExist) && old(path) {
			os.Remove(path)
		}
	}
	return nil
}
