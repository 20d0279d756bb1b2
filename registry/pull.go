package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sync/errgroup"
)

// layersAtOnce bounds how many layers of a pull are worked on at the same time.
const layersAtOnce = 6

// puller is one pull.
type puller struct {
	*client
	store *store.Store
	want  platform
}

// Pull brings an image into the store and returns it. Its layers are downloaded,
// verified and unpacked in one pass, several at a time; the name is written last.
// Layers that were finished stay where the pull fails or ctx is cancelled, and a
// layer broken off goes on from there the next time. Another process that pulls
// the same is waited for, layer by layer. Progress is called from several goroutines.
func Pull(ctx context.Context, s *store.Store, o PullOptions) (*store.Image, error) {
	ref, err := ParseReference(o.Reference)
	if err != nil {
		return nil, err
	}
	p := &puller{store: s, want: hostPlatform()}
	if o.Platform != "" {
		if p.want, err = parsePlatform(o.Platform); err != nil {
			return nil, err
		}
	}
	tell := func(Event) {}
	if o.Progress != nil {
		tell = o.Progress.Update
	}
	if p.client, err = connect(ctx, ref, &o, tell); err != nil {
		return nil, err
	}
	defer p.http.CloseIdleConnections()
	asked := ref.Tag
	if ref.Digest != "" {
		asked = ref.Digest // Docker's rule: the tag is words for people then
	}
	p.status("%s: Pulling from %s", asked, ref.Repository)
	named, err := p.client.manifest(ctx, asked)
	if err != nil {
		return nil, err
	}
	chain := []*fetched{named}
	for image := named; image.Config == nil; {
		if len(chain) > maxNesting {
			return nil, fmt.Errorf("reading the manifest of %q: indexes are nested too deep", ref.Familiar())
		}
		chosen, err := image.choose(p.want, ref.Familiar())
		if err != nil {
			return nil, err
		}
		if image, err = p.client.manifest(ctx, chosen.Digest); err != nil {
			return nil, err
		}
		chain = append(chain, image)
	}
	img, err := p.image(ctx, chain, o.Platform != "")
	if err != nil {
		return nil, fmt.Errorf("pulling %q: %w", ref.Familiar(), err)
	}
	return img, nil
}

func (p *puller) status(format string, args ...any) {
	p.tell(Event{Phase: Status, Text: fmt.Sprintf(format, args...)})
}

// image brings in what the last manifest of chain lists; those before it led there.
func (p *puller) image(ctx context.Context, chain []*fetched, insist bool) (*store.Image, error) {
	named, manifest := chain[0], chain[len(chain)-1]
	config, rawConfig, err := p.config(ctx, p.store, *manifest.Config)
	if err != nil {
		return nil, err
	}
	if err := p.checkPlatform(config, insist); err != nil {
		return nil, err
	}
	diffIDs := config.RootFS.DiffIDs
	if len(diffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("its manifest lists %d layers and its config %d", len(manifest.Layers), len(diffIDs))
	}
	if len(diffIDs) == 0 {
		return nil, errors.New("it has no layers")
	}
	img := &store.Image{
		ID: manifest.Config.Digest, Manifest: manifest.digest, Digest: named.digest,
		Platform: config.platform.normal().String(), DiffIDs: diffIDs, Layers: topmost(diffIDs), Config: config.Config,
	}
	if config.Created != nil {
		img.Created = *config.Created
	}
	for _, f := range chain {
		img.Blobs = append(img.Blobs, f.digest)
	}
	img.Blobs = append(img.Blobs, img.ID)
	for _, l := range manifest.Layers {
		img.Blobs = append(img.Blobs, l.Digest)
	}
	fixUp := fixUpID(img.Layers)
	pin, err := p.store.Pin(slices.Concat(img.Blobs, img.Layers, []string{fixUp}))
	if err != nil {
		return nil, err
	}
	defer pin.Release()
	old, _ := p.store.Image(p.ref)
	if err := p.layers(ctx, manifest.Layers, diffIDs); err != nil {
		return nil, err
	}
	for _, raw := range append([][]byte{rawConfig}, raws(chain)...) {
		if _, err := p.store.WriteBlob(raw, store.Durable); err != nil {
			return nil, err
		}
	}
	if err := finish(ctx, p.store, img, fixUp, store.Durable); err != nil {
		return nil, err
	}
	if err := p.store.AddImage(img, p.refToWrite(), store.Durable); err != nil {
		return nil, err
	}
	p.status("Digest: %s", img.Digest)
	if old != nil && old.Manifest == img.Manifest {
		p.status("Status: Image is up to date for %s", p.ref.Familiar())
	} else {
		p.status("Status: Downloaded newer image for %s", p.ref.Familiar())
	}
	return p.store.Image(p.refToWrite())
}

func raws(chain []*fetched) [][]byte {
	var all [][]byte
	for _, f := range chain {
		all = append(all, f.raw)
	}
	return all
}

// refToWrite is the name that the image gets: a tag next to a digest is not one.
func (p *puller) refToWrite() store.Ref {
	ref := p.ref
	if ref.Digest != "" {
		ref.Tag = ""
	}
	return ref
}

// checkPlatform compares what the image says of itself with what was asked for.
func (p *puller) checkPlatform(config *imageConfig, insist bool) error {
	if config.OS == "" || config.Architecture == "" {
		return nil // old tools left it out
	}
	if p.want.runs(config.platform) > 0 {
		return nil
	}
	if insist {
		return fmt.Errorf("it is for the platform %s, not %s", config.platform.normal(), p.want)
	}
	p.status("WARNING: The image's platform (%s) does not match the host's platform (%s)", config.platform.normal(), p.want)
	return nil
}

// topmost leaves out all but the last of equal layers: overlayfs refuses a
// directory given twice, with ELOOP, and what the lower one shows the upper hides.
func topmost(diffIDs []string) []string {
	var kept []string
	for i, id := range diffIDs {
		if !slices.Contains(diffIDs[i+1:], id) {
			kept = append(kept, id)
		}
	}
	return kept
}

// layers brings in all layers, each once.
func (p *puller) layers(ctx context.Context, blobs []descriptor, diffIDs []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	seen := map[string]bool{}
	var jobs []*layerJob
	for i, id := range diffIDs {
		if seen[id] {
			continue
		}
		seen[id] = true
		job := &layerJob{puller: p, blob: blobs[i], diffID: id, short: short(blobs[i].Digest)}
		jobs = append(jobs, job)
		job.phase(Waiting, 0)
	}
	for _, job := range jobs {
		group.Go(func() error {
			if err := job.run(ctx); err != nil {
				return fmt.Errorf("layer %s: %w", job.short, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// short is what a blob is called on the screen.
func short(digest string) string { return digest[len("sha256:"):][:12] }

// finish computes what is known once all layers are there: size and fix-up layer.
func finish(ctx context.Context, s *store.Store, img *store.Image, fixUp string, d store.Durability) error {
	var infos []*store.LayerInfo
	for _, id := range img.Layers {
		info, err := s.Layer(id)
		if err != nil {
			return err
		}
		infos = append(infos, info)
		img.Size += info.Size
	}
	needed, err := mend(ctx, s, infos, fixUp, d)
	if err != nil {
		return fmt.Errorf("mending the layers: %w", err)
	}
	if needed {
		img.Layers = append(slices.Clone(img.Layers), fixUp)
	}
	if img.Created.IsZero() {
		img.Created = time.Unix(0, 0).UTC()
	}
	return nil
}
