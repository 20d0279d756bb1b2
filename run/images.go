package run

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
)

const noName = "<none>"

// Images returns the rows of `images`, newest first: one for each name of an
// image, one for an image without any.
func (e *Engine) Images(ctx context.Context, o ImageListOptions) ([]ImageSummary, error) {
	defer e.tidy()()
	all, err := e.Store.Images()
	if err != nil {
		return nil, err
	}
	keep, err := e.imageFilters(o, all)
	if err != nil {
		return nil, err
	}
	users, err := e.imageUsers()
	if err != nil {
		return nil, err
	}
	var rows []ImageSummary
	for _, img := range all {
		for _, row := range rowsOf(img) {
			row.Containers = users[img.Manifest]
			if keep(img, &row) {
				rows = append(rows, row)
			}
		}
	}
	return rows, ctx.Err()
}

func rowsOf(img *store.Image) []ImageSummary {
	bare := ImageSummary{ID: img.ID, Repository: noName, Tag: noName, Digest: img.Digest, Platform: img.Platform,
		Created: img.Created, Size: img.Size, Labels: img.Config.Labels}
	if len(img.Refs) == 0 {
		return []ImageSummary{bare}
	}
	rows := make([]ImageSummary, len(img.Refs))
	for i, ref := range img.Refs {
		rows[i] = bare
		rows[i].Repository = ref.FamiliarName()
		if ref.Tag != "" {
			rows[i].Tag = ref.Tag
		}
		if ref.Digest != "" {
			rows[i].Digest = ref.Digest
		}
	}
	return rows
}

// imageUsers counts containers by the manifest of their image.
func (e *Engine) imageUsers() (map[string]int, error) {
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, c := range all {
		if r, err := c.Record(); err == nil {
			count[r.Image.Manifest]++
		}
	}
	return count, nil
}

type imageFilter func(*store.Image, *ImageSummary) bool

// imageFilters reads the argument and --filter of `images`.
func (e *Engine) imageFilters(o ImageListOptions, all []*store.Image) (imageFilter, error) {
	var tests []imageFilter
	if o.Reference != "" {
		tests = append(tests, byReference(o.Reference))
	}
	for key, values := range o.Filters {
		var alternatives []imageFilter
		for _, value := range values {
			test, err := e.imageFilter(key, value, all)
			if err != nil {
				return nil, err
			}
			if key == "label" || key == "label!" { // all of them must be there
				tests = append(tests, test)
			} else {
				alternatives = append(alternatives, test)
			}
		}
		if len(alternatives) > 0 {
			tests = append(tests, func(img *store.Image, row *ImageSummary) bool {
				return slices.ContainsFunc(alternatives, func(test imageFilter) bool { return test(img, row) })
			})
		}
	}
	return func(img *store.Image, row *ImageSummary) bool {
		return !slices.ContainsFunc(tests, func(test imageFilter) bool { return !test(img, row) })
	}, nil
}

func (e *Engine) imageFilter(key, value string, all []*store.Image) (imageFilter, error) {
	switch key {
	case "reference":
		return byReference(value), nil
	case "label!":
		return func(img *store.Image, _ *ImageSummary) bool { return !hasLabel(img.Config.Labels, value) }, nil
	case "label":
		return func(img *store.Image, _ *ImageSummary) bool { return hasLabel(img.Config.Labels, value) }, nil
	case "dangling":
		if value != "true" && value != "false" && value != "1" && value != "0" {
			return nil, fmt.Errorf("invalid filter %q: neither true nor false", key+"="+value)
		}
		want := value == "true" || value == "1"
		return func(img *store.Image, _ *ImageSummary) bool { return (len(img.Refs) == 0) == want }, nil
	case "until":
		then, err := ParseTime(value, time.Now())
		if err != nil {
			return nil, fmt.Errorf("invalid filter %q: %w", key+"="+value, err)
		}
		return func(img *store.Image, _ *ImageSummary) bool { return img.Created.Before(then) }, nil
	case "before", "since":
		other, _, err := registry.Find(e.Store, value)
		if err != nil {
			return nil, err
		}
		return func(img *store.Image, _ *ImageSummary) bool {
			if key == "before" {
				return img.Created.Before(other.Created)
			}
			return img.Created.After(other.Created)
		}, nil
	}
	return nil, fmt.Errorf("invalid filter %q", key)
}

// byReference matches names: a whole repository, one tag of it, or a pattern of
// path.Match, whose "*" stops at slashes; as users write them or in full.
func byReference(pattern string) imageFilter {
	names := []string{pattern}
	if ref, err := registry.ParseReference(pattern); err == nil {
		full := ref.Registry + "/" + ref.Repository
		if strings.Contains(pattern[strings.LastIndexByte(pattern, '/')+1:], ":") {
			full += ":" + ref.Tag
		}
		names = append(names, full)
	}
	return func(img *store.Image, row *ImageSummary) bool {
		for _, ref := range img.Refs {
			if ref.FamiliarName() != row.Repository || ref.Tag != "" && ref.Tag != row.Tag {
				continue
			}
			have := []string{ref.Familiar(), ref.FamiliarName(), ref.String(), ref.Registry + "/" + ref.Repository}
			for _, name := range names {
				if slices.ContainsFunc(have, func(h string) bool { ok, err := path.Match(name, h); return ok && err == nil }) {
					return true
				}
			}
		}
		return false
	}
}
