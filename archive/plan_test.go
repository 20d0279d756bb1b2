package archive

import (
	"errors"
	"io/fs"
	"testing"
)

// The table of `docker cp --help`'s long description, case by case.
func TestPlan(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	lay(t, root, "file=x", "dir/", "to-file->file", "to-dir->dir", "absolute->/dir", "dangling->dir/new", "up->../../dir", "loop->loop")
	tree := newTree(t, root)
	for _, c := range []struct {
		source, to, into, name string
		err                    error
	}{
		{"/file", "/new", "/", "new", nil},
		{"/file", "/new/", "", "", ErrDirNotExists},
		{"/file", "/none/new", "", "", fs.ErrNotExist},
		{"/file", "/file", "/", "file", nil},
		{"/file", "/dir", "/dir", "file", nil},
		{"/file", "dir/", "/dir/", "file", nil},
		{"/file", "/to-file", "/", "file", nil},
		{"/file", "/to-dir", "/dir", "file", nil},
		{"/file", "/absolute", "/dir", "file", nil},
		{"/file", "/up", "/../../dir", "file", nil},
		{"/file", "/dangling", "/dir/", "new", nil},
		{"/file", "/loop", "", "", errors.ErrUnsupported},
		{"/dir", "/new", "/", "new", nil},
		{"/dir", "/new/", "/", "new", nil},
		{"/dir/.", "/new", "/", "new", nil},
		{"/dir", "/file", "", "", ErrCannotCopyDir},
		{"/dir", "/dir", "/dir", "dir", nil},
		{"/dir/.", "/dir", "/dir", ".", nil},
		{"/", "/dir", "/dir", ".", nil},
		{"/to-dir", "/dir", "/dir", "to-dir", nil},
		{"/to-dir/", "/dir", "/dir", "to-dir", nil},
		{"/to-dir/.", "/dir", "/dir", ".", nil},
		{"/../../dir", "/dir", "/dir", "dir", nil},
	} {
		source, err := tree.Stat(c.source, false)
		must(t, err)
		into, name := "", ""
		at, err := tree.Place(c.to)
		if err == nil {
			into, name, err = Plan(source, at, c.to)
		}
		switch {
		case c.err != nil && err == nil, c.err == nil && err != nil, c.err != nil && c.err != errors.ErrUnsupported && !errors.Is(err, c.err):
			t.Errorf("%s to %s: %v, want %v", c.source, c.to, err, c.err)
		case into != c.into || name != c.name:
			t.Errorf("%s to %s: %q in %q, want %q in %q", c.source, c.to, name, into, c.name, c.into)
		}
	}
	if info, err := tree.Stat("/to-dir/", false); err != nil || !info.IsDir() {
		t.Errorf("a slash does not follow the link: %v", err)
	}
	if info, err := tree.Stat("/to-file", true); err != nil || !info.Mode.IsRegular() {
		t.Errorf("the link is not followed: %v", err)
	}
}
