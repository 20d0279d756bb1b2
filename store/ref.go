package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The names of Docker's own registry, which what users write may leave out.
const (
	DefaultRegistry = "docker.io"
	officialPrefix  = "library/"
	digestPrefix    = "sha256:"
	maxTagLength    = 128
	tagsFolder      = "_tags"
	digestsFolder   = "_digests"
)

// String is the canonical form, "docker.io/library/alpine:latest".
func (r Ref) String() string {
	return r.Registry + "/" + r.Repository + r.suffix()
}

// Familiar is the short form that Docker prints: "alpine:latest",
// "127.0.0.1:5000/busybox:latest".
func (r Ref) Familiar() string {
	return r.FamiliarName() + r.suffix()
}

// FamiliarName is Familiar without tag and digest: "alpine", "quay.io/podman/stable".
func (r Ref) FamiliarName() string {
	if r.Registry != DefaultRegistry {
		return r.Registry + "/" + r.Repository
	}
	if short, ok := strings.CutPrefix(r.Repository, officialPrefix); ok && !strings.Contains(short, "/") {
		return short
	}
	return r.Repository
}

func (r Ref) suffix() string {
	text := ""
	if r.Tag != "" {
		text = ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest
	}
	return text
}

// target is the content of a reference's file.
type target struct {
	Digest   string // what the registry's tag named: an index or a manifest
	Manifest string // the platform's manifest
}

// RefPath is where the file of a reference lies. The parts are checked here again,
// whoever made the Ref: none can lead out of refs/ or into another repository's names.
func (s *Store) RefPath(r Ref) (string, error) {
	for _, part := range append([]string{r.Registry}, strings.Split(r.Repository, "/")...) {
		if !safePart(part) || part[0] == '_' {
			return "", fmt.Errorf("finding reference %q: %q is no name", r, part)
		}
	}
	folder := s.path("refs", r.Registry, filepath.FromSlash(r.Repository))
	if r.Digest != "" {
		hex, err := digestHex(r.Digest)
		if err != nil {
			return "", fmt.Errorf("finding reference %q: %w", r, err)
		}
		return filepath.Join(folder, digestsFolder, hex), nil
	}
	if !safePart(r.Tag) || len(r.Tag) > maxTagLength {
		return "", fmt.Errorf("finding reference %q: %q is no tag", r, r.Tag)
	}
	return filepath.Join(folder, tagsFolder, r.Tag), nil
}

// safePart tells whether text can be one visible component of a path.
func safePart(text string) bool {
	return text != "" && len(text) <= 255 && text[0] != '.' && !strings.ContainsAny(text, "/\x00\n")
}

// digestHex checks a digest and returns what follows "sha256:".
func digestHex(digest string) (string, error) {
	hex, ok := strings.CutPrefix(digest, digestPrefix)
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("parsing digest %q: not sha256 and 64 hexadecimal digits", digest)
	}
	return hex, nil
}

// ValidDigest tells whether text is "sha256:" and 64 lower-case hexadecimal digits.
func ValidDigest(text string) bool {
	_, err := digestHex(text)
	return err == nil
}

// writeRef points a name at an image. The caller holds the lock on images.
func (s *Store) writeRef(ref Ref, t target, d Durability) error {
	path, err := s.RefPath(ref)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("naming image %q: %w", ref, err)
	}
	return s.writeJSON(path, t, d)
}

// removeRef deletes a name and the folders that it leaves empty. The caller holds the lock on images.
func (s *Store) removeRef(ref Ref) error {
	path, err := s.RefPath(ref)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	for folder := filepath.Dir(path); folder != s.path("refs"); folder = filepath.Dir(folder) {
		if os.Remove(folder) != nil {
			break
		}
	}
	return nil
}

// readRef reads what a name leads to. A digest that no name was made for is looked
// for among the tags of its repository: whatever they were pulled as has it.
func (s *Store) readRef(ref Ref) (target, error) {
	path, err := s.RefPath(ref)
	if err != nil {
		return target{}, err
	}
	var t target
	err = ReadJSON(path, &t)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	if ref.Digest == "" {
		return t, fmt.Errorf("%w: %s", ErrNoImage, ref.Familiar())
	}
	folder := filepath.Dir(filepath.Dir(path))
	entries, err := os.ReadDir(filepath.Join(folder, tagsFolder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return t, fmt.Errorf("reading names: %w", err)
	}
	for _, e := range entries {
		if !safePart(e.Name()) || ReadJSON(filepath.Join(folder, tagsFolder, e.Name()), &t) != nil {
			continue
		}
		if t.Digest == ref.Digest || t.Manifest == ref.Digest {
			return t, nil
		}
	}
	return target{}, fmt.Errorf("%w: %s", ErrNoImage, ref.Familiar())
}

// refTarget is one name of the store with what it leads to.
type refTarget struct {
	ref Ref
	target
}

// refs lists every name of the store, sorted by path.
func (s *Store) refs() ([]refTarget, error) {
	root := s.path("refs")
	var all []refTarget
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil // went meanwhile
			}
			return err
		}
		if !e.Type().IsRegular() || !safePart(e.Name()) {
			return nil // a folder, or a temporary file
		}
		ref, ok := refOf(strings.TrimPrefix(path, root+"/"))
		if !ok {
			return nil
		}
		var t target
		if err := ReadJSON(path, &t); err == nil {
			all = append(all, refTarget{ref, t})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading names of images: %w", err)
	}
	return all, nil
}

// refOf reads a reference from its path below refs/.
func refOf(path string) (Ref, bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 4 {
		return Ref{}, false
	}
	kind, name := parts[len(parts)-2], parts[len(parts)-1]
	ref := Ref{Registry: parts[0], Repository: strings.Join(parts[1:len(parts)-2], "/")}
	switch kind {
	case tagsFolder:
		ref.Tag = name
	case digestsFolder:
		ref.Digest = digestPrefix + name
	default:
		return Ref{}, false
	}
	return ref, true
}
