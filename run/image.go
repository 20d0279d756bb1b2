package run

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// Pull brings an image from its registry into the store.
func (e *Engine) Pull(ctx context.Context, o registry.PullOptions) (*store.Image, error) {
	defer e.tidy()()
	if isHello(o.Reference) { // of which there is no other copy
		return e.hello(ctx)
	}
	return e.pull(ctx, o)
}

func (e *Engine) pull(ctx context.Context, o registry.PullOptions) (*store.Image, error) {
	img, err := registry.Pull(ctx, e.Store, o)
	if err == nil {
		name, id := o.Reference, o.Reference
		if ref, err := registry.ParseReference(name); err == nil {
			name, id = ref.FamiliarName(), ref.Familiar()
		}
		e.emitImage("pull", id, name, img.Config.Labels)
	}
	return img, err
}

// imageFor finds the image of a new container, pulling it where o.Pull and the
// platform say so.
func (e *Engine) imageFor(ctx context.Context, o *CreateOptions) (*store.Image, error) {
	if o.Rootfs {
		return folderImage(), nil
	}
	if isHello(o.Image) {
		return e.hello(ctx)
	}
	if o.Pull == "newer" {
		return e.newer(ctx, o)
	}
	if o.Pull != "always" {
		img, _, err := registry.Find(e.Store, o.Image)
		switch {
		case err == nil && fits(img.Platform, o.Platform):
			if here := "linux/" + runtime.GOARCH; o.Platform == "" && img.Platform != "" && !fits(img.Platform, here) {
				e.say(fmt.Sprintf("image %q is here for %s, this machine is %s, and --platform asks for neither", o.Image, img.Platform, here))
			}
			return img, nil
		case err == nil && o.Pull == "never":
			return nil, fmt.Errorf("image %q is here for %s, not for %s", o.Image, img.Platform, o.Platform)
		case err != nil && !errors.Is(err, store.ErrNoImage):
			return nil, err
		case o.Pull == "never":
			return nil, &userns.HostError{What: fmt.Sprintf("finding image %q", o.Image), Hint: "skiff pull " + o.Image, Err: err}
		case err != nil && o.Progress != nil:
			o.Progress.Update(registry.Event{Phase: registry.Status, Text: fmt.Sprintf("Unable to find image '%s' locally", o.Image)})
		}
	}
	return e.pullFor(ctx, o)
}

// pullFor pulls the image of a new container.
func (e *Engine) pullFor(ctx context.Context, o *CreateOptions) (*store.Image, error) {
	return e.pull(ctx, registry.PullOptions{
		Reference: o.Image, Platform: o.Platform, AuthFile: o.AuthFile, TLSVerify: o.TLSVerify, Progress: o.Progress,
	})
}

// newer is podman's --pull=newer: the registry's image, else, where it cannot be had,
// the one that is here. An image that did not change is not downloaded anyway.
func (e *Engine) newer(ctx context.Context, o *CreateOptions) (*store.Image, error) {
	here, _, missing := registry.Find(e.Store, o.Image)
	img, err := e.pullFor(ctx, o)
	if err == nil || missing != nil || !fits(here.Platform, o.Platform) || ctx.Err() != nil {
		return img, err
	}
	e.say(fmt.Sprintf("image %q is taken as it is here: %v", o.Image, err))
	return here, nil
}

// fits tells whether an image's platform is what was asked for: a part that is
// left out matches anything.
func fits(have, want string) bool {
	if want == "" {
		return true
	}
	parts, wanted := strings.Split(have, "/"), strings.Split(want, "/")
	if len(wanted) == 1 { // "arm64" alone is an architecture, "linux" a system
		return len(parts) > 1 && (wanted[0] == parts[1] || wanted[0] == parts[0])
	}
	for i, part := range wanted {
		if i < len(parts) && part != parts[i] {
			return false
		}
	}
	return true
}

// Tag gives an image a further name.
func (e *Engine) Tag(ctx context.Context, source, target string) error {
	img, _, err := registry.Find(e.Store, source)
	if err != nil {
		return err
	}
	ref, err := registry.ParseReference(target)
	if err != nil {
		return err
	}
	if ref.Digest != "" {
		return fmt.Errorf("tagging image %q: a digest cannot be given as the name %q", source, target)
	}
	if err := e.Store.Tag(img, ref); err != nil {
		return err
	}
	e.emitImage("tag", img.ID, ref.Familiar(), img.Config.Labels)
	return nil
}

// RemoveImage takes a name from an image, and deletes the image with its last
// name. With force it goes although containers were made from it, and an id takes
// all its names. What happened comes back also where an error does.
func (e *Engine) RemoveImage(ctx context.Context, text string, force bool) ([]ImageDeleted, error) {
	defer e.tidy()()
	img, ref, err := registry.Find(e.Store, text)
	if err != nil {
		return nil, err
	}
	byName := ref != (store.Ref{})
	all, err := e.namesOf(img)
	if err != nil {
		return nil, err
	}
	if byName && len(all) > 1 {
		if err := e.Store.Untag(ref); err != nil {
			return nil, err
		}
		e.emitImage("untag", img.ID, img.ID, img.Config.Labels)
		return []ImageDeleted{{Untagged: ref.Familiar()}}, nil
	}
	if !byName && len(all) > 1 && !force {
		return nil, &userns.HostError{
			What: fmt.Sprintf("cannot delete image %s: it has %d names", text, len(all)),
			Hint: "name one of them, or use --force: " + familiar(all),
		}
	}
	removed, err := e.Store.RemoveImage(img, force)
	var deleted []ImageDeleted
	if removed != nil {
		for _, r := range removed.Refs {
			deleted = append(deleted, ImageDeleted{Untagged: r.Familiar()})
			e.emitImage("untag", img.ID, img.ID, img.Config.Labels)
		}
		for _, digest := range removed.Digests {
			deleted = append(deleted, ImageDeleted{Deleted: digest})
		}
		e.emitImage("delete", img.ID, img.ID, img.Config.Labels)
	}
	if err == nil {
		// Whoever makes room wants the remains of abandoned pulls gone as well.
		_, err = e.Store.Collect(time.Now().Add(-abandonedPull))
	}
	return deleted, imageInUse(text, err)
}

// abandonedPull is how long an unfinished download is kept to be gone on with.
const abandonedPull = 24 * time.Hour

func imageInUse(text string, err error) error {
	var used *store.ImageUsedError
	if !errors.As(err, &used) {
		return err
	}
	return &userns.HostError{
		What: fmt.Sprintf("cannot remove image %q", text),
		Hint: "remove the container first, or use --force",
		Err:  err,
	}
}

// namesOf lists every name that leads to an image.
func (e *Engine) namesOf(img *store.Image) ([]store.Ref, error) {
	all, err := e.Store.Images()
	if err != nil {
		return nil, err
	}
	for _, other := range all {
		if other.Manifest == img.Manifest {
			return other.Refs, nil
		}
	}
	return nil, nil
}

func familiar(refs []store.Ref) string {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.Familiar()
	}
	return strings.Join(names, ", ")
}
