package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// Bounds of Docker's grammar (distribution/reference).
const (
	maxNameLength = 255
	maxTagLength  = 128
)

// ParseReference reads a reference as users write it, [registry/]repository[:tag][@digest],
// and fills in what they leave out as Docker does: docker.io, library/ and, where
// there is no digest either, latest.
func ParseReference(text string) (store.Ref, error) {
	ref, err := parseReference(text)
	if err != nil {
		return store.Ref{}, fmt.Errorf("parsing reference %q: %w", text, err)
	}
	return ref, nil
}

func parseReference(text string) (store.Ref, error) {
	if text == "" {
		return store.Ref{}, errors.New("it is empty")
	}
	name, digest, withDigest := strings.Cut(text, "@")
	if withDigest && !store.ValidDigest(digest) {
		return store.Ref{}, fmt.Errorf("digest %q is not sha256: and 64 hexadecimal digits", digest)
	}
	name, tag := cutTag(name)
	if tag != nil && !validTag(*tag) {
		return store.Ref{}, fmt.Errorf("tag %q is not up to 128 letters, digits, _, . and -, beginning with neither . nor -", *tag)
	}
	ref := store.Ref{Digest: digest}
	ref.Registry, ref.Repository = splitRegistry(name)
	switch {
	case tag != nil:
		ref.Tag = *tag
	case !withDigest:
		ref.Tag = "latest"
	}
	if len(ref.Registry)+1+len(ref.Repository) > maxNameLength {
		return store.Ref{}, fmt.Errorf("its name is longer than %d characters", maxNameLength)
	}
	if !validRegistry(ref.Registry) {
		return store.Ref{}, fmt.Errorf("%q is no host[:port]", ref.Registry)
	}
	if len(name) == 64 && strings.Trim(name, "0123456789abcdef") == "" {
		return store.Ref{}, errors.New("64 hexadecimal digits are an image's id, not a name")
	}
	return ref, validRepository(ref.Repository)
}

// cutTag parts name and tag: the colon after the last slash begins a tag.
func cutTag(name string) (string, *string) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.IndexByte(name[i:], '/') >= 0 {
		return name, nil
	}
	tag := name[i+1:]
	return name[:i], &tag
}

// splitRegistry takes the first component for a registry where it looks like a
// host: with a dot, a colon or an upper-case letter, or "localhost".
func splitRegistry(name string) (registry, repository string) {
	first, rest, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" && strings.ToLower(first) == first {
		first, rest = store.DefaultRegistry, name
	}
	switch first {
	case "index.docker.io", "registry-1.docker.io":
		first = store.DefaultRegistry
	}
	if first == store.DefaultRegistry && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return first, rest
}

// validRegistry checks host[:port], where the host is a name, an IPv4 address or
// an IPv6 address in brackets.
func validRegistry(text string) bool {
	host, port := text, ""
	if strings.HasPrefix(text, "[") {
		address, rest, found := strings.Cut(text[1:], "]")
		ip, err := netip.ParseAddr(address)
		if !found || err != nil || !ip.Is6() || ip.Zone() != "" {
			return false
		}
		if rest == "" {
			return true
		}
		host, port = "ip", strings.TrimPrefix(rest, ":")
		if rest[0] != ':' || port == "" {
			return false
		}
	} else if h, p, found := strings.Cut(text, ":"); found {
		if host, port = h, p; port == "" {
			return false
		}
	}
	if len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, letters+upper+digits+"-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

const (
	letters = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

func validTag(tag string) bool {
	return tag != "" && len(tag) <= maxTagLength && tag[0] != '.' && tag[0] != '-' && strings.Trim(tag, letters+upper+digits+"_.-") == ""
}

// validRepository checks components of lower-case letters and digits, joined by
// ".", "_", "__" or any number of "-".
func validRepository(name string) error {
	if strings.ToLower(name) != name {
		return errors.New("repository name must be lowercase")
	}
	for part := range strings.SplitSeq(name, "/") {
		if !validComponent(part) {
			return fmt.Errorf("%q is no component of a repository's name", part)
		}
	}
	return nil
}

func validComponent(part string) bool {
	inside := false // after a letter or digit
	for i := 0; i < len(part); {
		if strings.IndexByte(letters+digits, part[i]) >= 0 {
			inside = true
			i++
			continue
		}
		start := i
		for i < len(part) && strings.IndexByte("._-", part[i]) >= 0 {
			i++
		}
		switch separator := part[start:i]; {
		case !inside || i == len(part) || separator == "":
			return false
		case separator == ".", separator == "_", separator == "__", strings.Trim(separator, "-") == "":
		default:
			return false
		}
	}
	return inside
}

// Find looks an image up in the store by what a user wrote: an id, a name, or the
// beginning of an id, in Docker's order. The reference is that of the name, and
// zero where the image was found by its id. It wraps [store.ErrNoImage].
func Find(s *store.Store, text string) (*store.Image, store.Ref, error) {
	if hex := strings.TrimPrefix(text, "sha256:"); len(hex) == 64 && store.ValidDigest("sha256:"+hex) {
		img, err := s.ImageByID(hex)
		return img, store.Ref{}, err
	}
	ref, parseErr := ParseReference(text)
	if parseErr == nil {
		img, err := s.Image(ref)
		if err == nil || !errors.Is(err, store.ErrNoImage) {
			return img, ref, err
		}
	}
	img, err := s.ImageByID(text)
	if err == nil || !errors.Is(err, store.ErrNoImage) {
		return img, store.Ref{}, err
	}
	if parseErr != nil {
		return nil, store.Ref{}, parseErr
	}
	return nil, ref, fmt.Errorf("%w: %s", store.ErrNoImage, ref.Familiar())
}
