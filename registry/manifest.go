package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// Bounds on documents that are read into memory, and on what they list.
const (
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
	maxLayers   = 500 // overlayfs takes no more (OVL_MAX_STACK)
	maxNesting  = 3   // indexes within indexes
)

// descriptor points at content (image-spec descriptor.md). Its urls are not
// followed: content comes from the registry that was asked.
type descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    string          `json:"digest"`
	Size      int64           `json:"size"`
	Platform  *platform       `json:"platform,omitempty"`
}

// manifest is an image manifest or an index: which of the two, its fields tell.
type manifest struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType,omitempty"`
	Manifests     []descriptor    `json:"manifests,omitempty"`
	Config        *descriptor     `json:"config,omitempty"`
	Layers        []descriptor    `json:"layers,omitempty"`
}

// imageConfig is the part of an image's config that skiff reads (image-spec config.md).
type imageConfig struct {
	platform
	Created *time.Time        `json:"created,omitempty"`
	Config  store.ImageConfig `json:"config"`
	RootFS  rootFS            `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

var manifestTypes = []string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}

// fetched is a manifest with its bytes as served.
type fetched struct {
	manifest
	raw    []byte
	digest string
}

// manifest gets a manifest or index by tag or digest, and checks the digest.
func (c *client) manifest(ctx context.Context, tagOrDigest string) (*fetched, error) {
	var raw []byte
	var contentType string
	err := c.retry(ctx, "", func() error {
		answer, err := c.get(ctx, "manifests/"+tagOrDigest, http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}, http.StatusOK)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		contentType = answer.Header.Get("Content-Type")
		raw, err = readBounded(answer.Body, maxManifest)
		return err
	})
	if err != nil {
		return nil, c.explainManifest(err, tagOrDigest)
	}
	f := &fetched{raw: raw, digest: store.Digest(raw)}
	if store.ValidDigest(tagOrDigest) && f.digest != tagOrDigest {
		return nil, fmt.Errorf("verifying the manifest %s: what the registry sent has digest %s", tagOrDigest, f.digest)
	}
	if err := f.parse(contentType); err != nil {
		return nil, fmt.Errorf("reading the manifest of %q: %w", c.ref.Familiar(), err)
	}
	return f, nil
}

func (c *client) explainManifest(err error, tagOrDigest string) error {
	var status *transport.Error
	if errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
		ref := c.ref
		if store.ValidDigest(tagOrDigest) {
			ref.Tag, ref.Digest = "", tagOrDigest
		}
		return fmt.Errorf("pulling %q: %w", ref.Familiar(), ErrNoSuchImage)
	}
	return explain(err, c.ref.Registry)
}

// readBounded reads all of r, at most limit bytes.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return data, err
}

func (f *fetched) parse(contentType string) error {
	contentType, _, _ = strings.Cut(contentType, ";")
	if err := json.Unmarshal(f.raw, &f.manifest); err != nil {
		return err
	}
	kind := f.MediaType
	if kind == "" {
		kind = types.MediaType(strings.TrimSpace(contentType))
	}
	if kind.IsSchema1() || f.SchemaVersion == 1 {
		return &userns.HostError{What: "the image is in Docker's schema 1 format of before 2017, which is not supported",
			Hint: "convert it, as with: skopeo copy --format v2s2"}
	}
	// A document that is both may be read as the other by somebody else (CVE-2021-41190).
	if f.Manifests != nil && (f.Config != nil || f.Layers != nil) {
		return errors.New("it is a manifest and an index at once")
	}
	if kind.IsIndex() && f.Config != nil || kind.IsImage() && f.Manifests != nil {
		return fmt.Errorf("its content contradicts its type %q", kind)
	}
	for _, list := range [][]descriptor{f.Manifests, f.Layers} {
		for _, d := range list {
			if err := d.check(); err != nil {
				return err
			}
		}
	}
	switch {
	case f.Manifests != nil:
		return nil
	case f.Config == nil:
		return fmt.Errorf("type %q is no image", kind)
	case len(f.Layers) > maxLayers:
		return fmt.Errorf("%d layers, more than the %d that can be stacked", len(f.Layers), maxLayers)
	}
	return f.Config.check()
}

func (d *descriptor) check() error {
	if !store.ValidDigest(d.Digest) {
		return fmt.Errorf("digest %q is not sha256: and 64 hexadecimal digits", d.Digest)
	}
	if d.Size < 0 {
		return fmt.Errorf("size %d of %s", d.Size, d.Digest)
	}
	return nil
}

// choose finds the manifest for a platform in an index.
func (f *fetched) choose(want platform, familiar string) (descriptor, error) {
	best, rank := descriptor{}, 0
	var have []string
	for _, d := range f.Manifests {
		if d.Platform == nil {
			if !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
				continue
			}
			if rank == 0 { // only its config will tell
				best, rank = d, 1
			}
			continue
		}
		if d.Platform.OS == "unknown" {
			continue // attestations of BuildKit
		}
		have = append(have, d.Platform.normal().String())
		if r := want.runs(*d.Platform); r > rank {
			best, rank = d, r
		}
	}
	if rank == 0 {
		slices.Sort(have)
		return best, &userns.HostError{
			What: fmt.Sprintf("no image of %q for the platform %s: there is %s", familiar, want, strings.Join(slices.Compact(have), ", ")),
			Hint: "choose one with --platform",
		}
	}
	return best, nil
}

// config gets and reads an image's config.
func (c *client) config(ctx context.Context, s *store.Store, d descriptor) (*imageConfig, []byte, error) {
	switch d.MediaType {
	case types.OCIConfigJSON, types.DockerConfigJSON, "":
	default:
		return nil, nil, fmt.Errorf("pulling %q: it is no container image but %q", c.ref.Familiar(), d.MediaType)
	}
	if d.Size > maxConfig {
		return nil, nil, fmt.Errorf("reading the config of %q: larger than %d bytes", c.ref.Familiar(), maxConfig)
	}
	raw, err := s.ReadBlob(d.Digest, maxConfig)
	if err != nil {
		body := &download{ctx: ctx, client: c, digest: d.Digest, size: d.Size}
		raw, err = readBounded(body, maxConfig)
		body.Close()
		if err != nil {
			return nil, nil, explain(err, c.ref.Registry)
		}
		if have := store.Digest(raw); have != d.Digest {
			return nil, nil, fmt.Errorf("verifying the config %s: what the registry sent has digest %s", d.Digest, have)
		}
	}
	var config imageConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, nil, fmt.Errorf("reading the config of %q: %w", c.ref.Familiar(), err)
	}
	for _, id := range config.RootFS.DiffIDs {
		if !store.ValidDigest(id) {
			return nil, nil, fmt.Errorf("reading the config of %q: diff id %q is no sha256 digest", c.ref.Familiar(), id)
		}
	}
	return &config, raw, nil
}
