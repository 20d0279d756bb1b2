package registry

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

const zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func TestParseReference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"alpine":                         {"docker.io/library/alpine:latest", "alpine:latest"},
		"alpine:3.20":                    {"docker.io/library/alpine:3.20", "alpine:3.20"},
		"user/app":                       {"docker.io/user/app:latest", "user/app:latest"},
		"docker.io/alpine":               {"docker.io/library/alpine:latest", "alpine:latest"},
		"index.docker.io/library/alpine": {"docker.io/library/alpine:latest", "alpine:latest"},
		"library/alpine":                 {"docker.io/library/alpine:latest", "alpine:latest"},
		"quay.io/a/b/c:1":                {"quay.io/a/b/c:1", "quay.io/a/b/c:1"},
		"localhost/x":                    {"localhost/x:latest", "localhost/x:latest"},
		"localhost:5000/x":               {"localhost:5000/x:latest", "localhost:5000/x:latest"},
		"127.0.0.1:5000/busybox":         {"127.0.0.1:5000/busybox:latest", "127.0.0.1:5000/busybox:latest"},
		"[::1]:5000/x":                   {"[::1]:5000/x:latest", "[::1]:5000/x:latest"},
		"skiff.local/hello":              {"skiff.local/hello:latest", "skiff.local/hello:latest"},
		"Host/x":                         {"Host/x:latest", "Host/x:latest"},
		"alpine@" + zeros:                {"docker.io/library/alpine@" + zeros, "alpine@" + zeros},
		"quay.io/x:1@" + zeros:           {"quay.io/x:1@" + zeros, "quay.io/x:1@" + zeros},
		"a__b/c--d.e_f":                  {"docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"},
		"a:" + strings.Repeat("t", 128):  {"docker.io/library/a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 128)},
		"x:_tags":                        {"docker.io/library/x:_tags", "x:_tags"},
		"docker.io/library/library/x":    {"docker.io/library/library/x:latest", "library/library/x:latest"},
	} {
		ref, err := ParseReference(text)
		if err != nil || ref.String() != want[0] || ref.Familiar() != want[1] {
			t.Errorf("%q: %q, %q, %v", text, ref, ref.Familiar(), err)
		}
		if again, err := ParseReference(ref.Familiar()); err != nil || again != ref {
			t.Errorf("%q read again: %v, %v", ref.Familiar(), again, err)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ":", "/", "a/", "/a", "Alpine", "a:", "a:-x", "a:.x", "a@", "a@sha256:12", "a@" + strings.ToUpper(zeros), "a@sha512:" + strings.Repeat("0", 128),
		"../a", "a/../b", "a/./b", "quay.io/../../etc", "a//b", "-a", "a-", "a..b", "a___b", "_tags/x", "a/_tags", "quay.io/a/_tags/b", "a b", "a\x00b", "a\nb",
		"host:/a", "host:port/a", "host:123456/a", "[::1/a", "[::1]x/a", "[fe80::1%eth0]/a", "-host.io/a", "host..io/a", "https://quay.io/a",
		strings.Repeat("0", 64), strings.Repeat("a", 256), "a:" + strings.Repeat("t", 129),
	} {
		if ref, err := ParseReference(text); err == nil {
			t.Errorf("%q became %q", text, ref)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, text := range []string{"alpine", "quay.io/a/b:1@" + zeros, "[::1]:5000/x", "localhost/x:_y", "../x", "a/_tags/b"} {
		f.Add(text)
	}
	s := &store.Store{Root: "/store"}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := ParseReference(text)
		if err != nil {
			return
		}
		for _, written := range []string{ref.String(), ref.Familiar()} {
			if again, err := ParseReference(written); err != nil || again != ref {
				t.Errorf("%q is written %q, which reads %q, %v", text, written, again, err)
			}
		}
		path, err := s.RefPath(ref)
		if err != nil {
			t.Fatalf("%q has no path: %v", text, err)
		}
		if !strings.HasPrefix(path, "/store/refs/"+ref.Registry+"/") || filepath.Clean(path) != path || strings.Contains(path, "/../") {
			t.Errorf("%q lies at %q", text, path)
		}
	})
}
