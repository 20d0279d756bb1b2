package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrittenCountsWhatIsThere: files with two names once, symbolic links not at all,
// and never what they lead to.
func TestWrittenCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	upper := filepath.Join(dir, "upper")
	must(t, os.MkdirAll(filepath.Join(upper, "a", "b"), 0o755))
	must(t, os.WriteFile(filepath.Join(upper, "a", "one"), make([]byte, 1000), 0o644))
	must(t, os.Link(filepath.Join(upper, "a", "one"), filepath.Join(upper, "a", "b", "same")))
	must(t, os.WriteFile(filepath.Join(upper, "a", "b", "two"), make([]byte, 50), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "outside"), make([]byte, 7000), 0o644))
	must(t, os.Symlink(filepath.Join(dir, "outside"), filepath.Join(upper, "link")))
	must(t, os.Symlink(dir, filepath.Join(upper, "a", "folder")))
	s := emptyStore(t)
	got, err := s.Written(&Container{store: s, ID: strings.Repeat("a", 64), Dir: dir})
	must(t, err)
	if got != 1050 {
		t.Errorf("counted %d bytes, want 1050", got)
	}
}

// TestWrittenReadsWhatSubordinateIDsHide: a folder that only an id of the container may read.
func TestWrittenReadsWhatSubordinateIDsHide(t *testing.T) {
	s := newStore(t)
	record := &Record{ID: NewID(), Name: "hidden"}
	c, err := s.Create(record, Fleeting, func(string) error { return nil })
	must(t, err)
	withinStore(t, s, func(t *testing.T, root string) {
		needOwners(t)
		upper := filepath.Join(filepath.Dir(root), "containers")
		all, err := os.ReadDir(upper)
		must(t, err)
		for _, e := range all {
			hidden := filepath.Join(upper, e.Name(), "upper", "hidden")
			must(t, os.Mkdir(hidden, 0o700))
			must(t, os.WriteFile(filepath.Join(hidden, "file"), make([]byte, 300), 0o600))
			must(t, os.Chown(hidden, 1000, 1000))
		}
	})
	if t.Skipped() || t.Failed() || os.Getenv(insideVariable) != "" {
		return
	}
	got, err := s.Written(c)
	must(t, err)
	if _, err := os.Stat(filepath.Join(c.Dir, "upper", "hidden")); err == nil && got != 300 {
		t.Errorf("counted %d bytes, want 300", got)
	}
}
