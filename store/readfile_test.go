package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Files of any size come whole, and what is no file is told as package os tells it.
func TestReadFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 2047, 2048, 2049, 100_000} {
		want := bytes.Repeat([]byte("x"), size)
		must(t, os.WriteFile(path, want, 0o600))
		if got, err := readFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("of %d bytes %d were read, %v", size, len(got), err)
		}
	}
	if _, err := readFile(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file is %v", err)
	}
	if _, err := readFile(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}
