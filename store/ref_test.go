package store

import (
	"strings"
	"testing"
)

// However a Ref came to be, its file lies below refs/ and in no other's place.
func TestRefPath(t *testing.T) {
	t.Parallel()
	s := &Store{Root: "/store"}
	good := Ref{Registry: "127.0.0.1:5000", Repository: "a/b", Tag: "_x"}
	if path, err := s.RefPath(good); err != nil || path != "/store/refs/127.0.0.1:5000/a/b/_tags/_x" {
		t.Errorf("%q, %v", path, err)
	}
	good.Digest = "sha256:" + strings.Repeat("0", 64)
	if path, err := s.RefPath(good); err != nil || path != "/store/refs/127.0.0.1:5000/a/b/_digests/"+strings.Repeat("0", 64) {
		t.Errorf("%q, %v", path, err)
	}
	for _, bad := range []Ref{
		{}, {"r", "a", "", ""}, {"", "a", "t", ""}, {"r", "", "t", ""}, {"..", "a", "t", ""}, {"r", "../a", "t", ""}, {"r", "a/..", "t", ""}, {"r", "a//b", "t", ""},
		{"r/s", "a", "t", ""}, {"r", "a", "..", ""}, {"r", "a", "t/u", ""}, {"r", "a/_tags", "t", ""}, {"_tags", "a", "t", ""}, {"r", "a", ".t", ""},
		{"r", "a", strings.Repeat("t", 129), ""}, {"r", "a\x00b", "t", ""}, {"r", "a", "t", "sha256:../../x"}, {"r", strings.Repeat("a", 256), "t", ""},
	} {
		if path, err := s.RefPath(bad); err == nil {
			t.Errorf("%+v lies at %q", bad, path)
		}
	}
}

func TestRefOf(t *testing.T) {
	t.Parallel()
	for _, ref := range []Ref{{"r.io", "a", "t", ""}, {"r.io:1", "a/b/c", "t", ""}, {"r", "a", "", "sha256:" + strings.Repeat("0", 64)}} {
		s := &Store{Root: "/store"}
		path, err := s.RefPath(ref)
		must(t, err)
		if back, ok := refOf(strings.TrimPrefix(path, "/store/refs/")); !ok || back != ref {
			t.Errorf("%v became %v", ref, back)
		}
	}
}

func TestFamiliar(t *testing.T) {
	t.Parallel()
	for want, ref := range map[string]Ref{
		"alpine:latest": {"docker.io", "library/alpine", "latest", ""}, "a/b:1": {"docker.io", "a/b", "1", ""},
		"127.0.0.1:5000/library/x:1": {"127.0.0.1:5000", "library/x", "1", ""}, "library/a/b:1": {"docker.io", "library/a/b", "1", ""},
	} {
		if have := ref.Familiar(); have != want {
			t.Errorf("%q, not %q", have, want)
		}
	}
}
