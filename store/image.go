package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"
)

// Ref is a normalised reference to an image: "docker.io", "library/alpine", "latest", "".
// Package registry parses what users write into it.
type Ref struct {
	Registry   string
	Repository string
	Tag        string // "" where only a digest was given
	Digest     string // "sha256:…", or ""
}

// Image is an image of the store, as one platform's manifest describes it.
type Image struct {
	ID       string // digest of the config, "sha256:…"
	Manifest string // digest of the platform's manifest
	Digest   string // what the registry's tag names: an index's digest, or Manifest
	Refs     []Ref  // every name that leads to it, sorted; only the name asked for from [Store.Image]
	Platform string // "linux/amd64", "linux/arm64/v8"
	Created  time.Time
	Size     int64    // bytes of its unpacked layers
	Layers   []string // what to stack, lowest first, each once: diff ids, and on top a fix-up layer where one is needed
	DiffIDs  []string // as the config lists them
	Blobs    []string // digests of all that it was made from: manifests, config, layers
	Config   ImageConfig
}

// ImageConfig is the "config" object of an OCI image config: what the image
// wants of its containers (image-spec config.md). Also Docker's, field for field.
type ImageConfig struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Healthcheck  *Healthcheck        `json:",omitempty"` // Docker's addition to the OCI config
}

// Errors about images that callers tell apart.
var (
	ErrNoImage        = errors.New("no such image")
	ErrAmbiguousImage = errors.New("several images match")
)

// imagePath is the summary of an image, named by its manifest. An image exists
// exactly while its summary does, whether or not a name leads to it.
func (s *Store) imagePath(manifest string) (string, error) {
	hex, err := digestHex(manifest)
	if err != nil {
		return "", err
	}
	return s.path("images", hex), nil
}

// summary reads one image. Its Refs are empty.
func (s *Store) summary(manifest string) (*Image, error) {
	path, err := s.imagePath(manifest)
	if err != nil {
		return nil, err
	}
	var img Image
	if err := ReadJSON(path, &img); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, manifest)
	} else if err != nil {
		return nil, fmt.Errorf("reading image %s: %w", manifest, err)
	}
	return &img, nil
}

// Image finds the image that a name or digest leads to. It reads two small files.
func (s *Store) Image(ref Ref) (*Image, error) {
	t, err := s.readRef(ref)
	if err != nil {
		return nil, err
	}
	img, err := s.summary(t.Manifest)
	if err != nil {
		return nil, err
	}
	img.Digest, img.Refs = t.Digest, []Ref{ref}
	return img, nil
}

// ImageByID finds an image by its id or a beginning of it, with or without
// "sha256:". It wraps ErrNoImage or ErrAmbiguousImage.
func (s *Store) ImageByID(prefix string) (*Image, error) {
	hex := strings.TrimPrefix(prefix, digestPrefix)
	if hex == "" || len(hex) > 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, prefix)
	}
	all, err := s.Images()
	if err != nil {
		return nil, err
	}
	var found *Image
	for _, img := range all {
		if !strings.HasPrefix(img.ID, digestPrefix+hex) {
			continue
		}
		if found != nil && found.ID != img.ID {
			return nil, fmt.Errorf("%w: %s", ErrAmbiguousImage, prefix)
		}
		if found == nil || len(found.Refs) == 0 {
			found = img
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, prefix)
	}
	return found, nil
}

// Images returns every image with all its names, newest first.
func (s *Store) Images() ([]*Image, error) {
	names, err := s.refs()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.path("images"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	var all []*Image
	byManifest := map[string]*Image{}
	for _, e := range entries {
		img, err := s.summary(digestPrefix + e.Name())
		if err != nil {
			continue // a temporary file, or removed meanwhile
		}
		all = append(all, img)
		byManifest[img.Manifest] = img
	}
	for _, n := range names {
		if img := byManifest[n.Manifest]; img != nil {
			img.Refs = append(img.Refs, n.ref)
			img.Digest = n.Digest
		}
	}
	for _, img := range all {
		sortRefs(img.Refs)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Created.After(all[j].Created) })
	return all, nil
}

func sortRefs(refs []Ref) {
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.String(), b.String()) })
}

// AddImage makes an image known whose blobs and layers are in the store, and
// points ref at it as the last step. With neither tag nor digest in ref it stays
// without a name. The caller holds a [Pin] on what the image is made of.
func (s *Store) AddImage(img *Image, ref Ref, d Durability) error {
	path, err := s.imagePath(img.Manifest)
	if err != nil {
		return err
	}
	lock, err := s.lockImages(exclusive)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := s.complete(img); err != nil {
		return fmt.Errorf("adding image %q: %w", ref, err)
	}
	bare := *img
	bare.Refs = nil
	if err := os.MkdirAll(s.path("images"), 0o700); err != nil {
		return fmt.Errorf("adding image %q: %w", ref, err)
	}
	if err := s.writeJSON(path, &bare, d); err != nil {
		return fmt.Errorf("adding image %q: %w", ref, err)
	}
	if ref.Tag == "" && ref.Digest == "" {
		return nil
	}
	return s.writeRef(ref, target{Digest: img.Digest, Manifest: img.Manifest}, d)
}

// complete checks that every layer of an image is there.
func (s *Store) complete(img *Image) error {
	for _, layer := range img.Layers {
		if !s.HasLayer(layer) {
			return fmt.Errorf("%w: %s", ErrNoLayer, layer)
		}
	}
	return nil
}

// HoldImage keeps an image from being removed until the lock is given back. Who
// makes a container takes it before the record is written and keeps it until the
// container is in the store: from then on the record keeps the layers. It wraps
// ErrNoImage where the image went since the caller found it.
func (s *Store) HoldImage(img *Image) (*Lock, error) {
	lock, err := s.lockImages(shared)
	if err != nil {
		return nil, err
	}
	path, err := s.imagePath(img.Manifest)
	if err == nil {
		_, err = os.Lstat(path)
	}
	if err == nil {
		err = s.complete(img)
	}
	if err != nil {
		lock.Unlock()
		return nil, fmt.Errorf("%w: %s was removed meanwhile", ErrNoImage, img.ID)
	}
	return lock, nil
}

// Tag gives an image a further name, taking it from the image that had it.
func (s *Store) Tag(img *Image, ref Ref) error {
	lock, err := s.lockImages(exclusive)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if _, err := s.summary(img.Manifest); err != nil {
		return err
	}
	return s.writeRef(ref, target{Digest: img.Digest, Manifest: img.Manifest}, Durable)
}

// Untag takes a name away. The image stays, without a name where it was the last.
func (s *Store) Untag(ref Ref) error {
	lock, err := s.lockImages(exclusive)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := s.removeRef(ref); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoImage, ref.Familiar())
	} else if err != nil {
		return fmt.Errorf("removing name %q: %w", ref, err)
	}
	return nil
}
