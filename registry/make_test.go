package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

var helloRef = store.Ref{Registry: "skiff.local", Repository: "hello", Tag: "latest"}

func makeHello(t *testing.T, s *store.Store, ref store.Ref, content string) *store.Image {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(source, []byte(content), 0o755))
	img, err := MakeImage(context.Background(), s, ref, []LocalFile{
		{Name: "usr/bin/hello", Mode: 0o755, Source: source},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0::/:/bin/sh\n")},
		{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Name: "bin", Mode: fs.ModeSymlink, Link: "usr/bin"},
	}, store.ImageConfig{Entrypoint: []string{"/bin/hello"}, Labels: map[string]string{"x": content}})
	must(t, err)
	return img
}

func TestMakeImage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	img := makeHello(t, s, helloRef, "one")
	checkClean(t, s)
	found, _, err := Find(s, "skiff.local/hello")
	must(t, err)
	if found.ID != img.ID || found.Config.Entrypoint[0] != "/bin/hello" || found.Platform != hostPlatform().String() {
		t.Errorf("%+v", found)
	}
	tree := s.LayerPath(img.Layers[0])
	data, err := os.ReadFile(filepath.Join(tree, "bin/hello"))
	must(t, err)
	if string(data) != "one" {
		t.Errorf("%q", data)
	}
	st, err := os.Stat(filepath.Join(tree, "tmp"))
	must(t, err)
	if st.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Errorf("%v", st.Mode())
	}
	for _, digest := range img.Blobs {
		_, err := s.ReadBlob(digest, 1<<20)
		must(t, err)
	}
	again := makeHello(t, s, helloRef, "one")
	if again.Layers[0] != img.Layers[0] {
		t.Error("the same files made another layer")
	}
	two := makeHello(t, s, helloRef, "two")
	if two.Layers[0] == img.Layers[0] {
		t.Error("other files made the same layer")
	}
	checkClean(t, s)
	_, err = MakeImage(context.Background(), s, helloRef, []LocalFile{{Name: "x", Source: filepath.Join(t.TempDir(), "missing")}}, store.ImageConfig{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a source that is not there: %v", err)
	}
	checkClean(t, s)
}

// Layers and blobs go with the last image that needs them, and stay for
// containers, for pulls at work and while somebody holds the image.
func TestCollection(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	other := store.Ref{Registry: "skiff.local", Repository: "other", Tag: "1"}
	one := makeHello(t, s, helloRef, "one")
	two := makeHello(t, s, other, "two")
	must(t, s.Tag(one, store.Ref{Registry: "skiff.local", Repository: "hello", Tag: "again"}))

	record := &store.Record{ID: store.NewID(), Name: "c", Image: store.ImageRef{Manifest: one.Manifest, ID: one.ID, Layers: one.Layers}}
	held, err := s.HoldImage(one)
	must(t, err)
	c, err := s.Create(record, store.Fleeting, func(string) error { return nil })
	must(t, err)
	held.Unlock()

	var used *store.ImageUsedError
	if _, err := s.RemoveImage(one, false); !errors.As(err, &used) || len(used.Containers) != 1 || used.Containers[0] != c.ID {
		t.Errorf("an image in use: %v", err)
	}
	removed, err := s.RemoveImage(one, true)
	must(t, err)
	if len(removed.Refs) != 2 || len(removed.Digests) != 1 || !s.HasLayer(one.Layers[0]) || !s.HasBlob(one.Layers[0]) {
		t.Errorf("removed by force: %+v; the layer that the container needs is there: %v", removed, s.HasLayer(one.Layers[0]))
	}
	if _, err := s.HoldImage(one); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("holding what was removed: %v", err)
	}
	u, err := c.Unlink()
	must(t, err)
	must(t, u.Delete())

	pin, err := s.Pin(one.Layers)
	must(t, err)
	collected, err := s.Collect(one.Created)
	must(t, err)
	if len(collected.Digests) != 0 || !s.HasLayer(one.Layers[0]) {
		t.Errorf("collected what is pinned: %v", collected.Digests)
	}
	pin.Release()
	collected, err = s.Collect(one.Created)
	must(t, err)
	if len(collected.Digests) != 1 || s.HasLayer(one.Layers[0]) || s.HasBlob(one.Layers[0]) || !s.HasLayer(two.Layers[0]) {
		t.Errorf("collected %v", collected.Digests)
	}

	must(t, s.Untag(other))
	if _, err := s.Image(other); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("after untagging: %v", err)
	}
	if err := s.Untag(other); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("untagged twice: %v", err)
	}
	nameless, err := s.ImageByID(two.ID[7:15])
	must(t, err)
	if len(nameless.Refs) != 0 {
		t.Errorf("%v", nameless.Refs)
	}
	_, err = s.RemoveImage(nameless, false)
	must(t, err)
	empty(t, s)
	if all, err := s.Images(); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

// A tag that moves to a new image leaves the old one without a name.
func TestMovedTag(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	f.add(t, "latest", layer{tar: files(t, "a", "1")})
	old, _, err := pull(t, s, f.name("x"))
	must(t, err)
	f.add(t, "latest", layer{tar: files(t, "a", "1")}, layer{tar: files(t, "b", "2")})
	fresh, told, err := pull(t, s, f.name("x"))
	must(t, err)
	if fresh.Manifest == old.Manifest || told.count(Exists) != 1 {
		t.Errorf("%v", told)
	}
	all, err := s.Images()
	must(t, err)
	names := map[string]int{}
	for _, img := range all {
		names[img.Manifest] = len(img.Refs)
	}
	if len(all) != 2 || names[old.Manifest] != 0 || names[fresh.Manifest] != 1 {
		t.Errorf("%v", names)
	}
	_, err = s.RemoveImage(old, false)
	must(t, err)
	if !s.HasLayer(fresh.Layers[0]) {
		t.Error("the layer that both have is gone")
	}
	if _, err := s.Image(fresh.Refs[0]); err != nil {
		t.Error(err)
	}
}
