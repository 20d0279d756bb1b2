package program

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/store"
)

func open(t *testing.T) *store.Store {
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenGivesAProgramThatRuns(t *testing.T) {
	s := open(t)
	path, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(path) || info.Mode()&0o100 == 0 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	if !Embedded() {
		if exe, _ := os.Executable(); path != exe {
			t.Errorf("a plain build starts %s, not itself", path)
		}
		return
	}
	if info.Size() != int64(len(content)) || info.Mode().Perm() != 0o555 {
		t.Errorf("%s has %d bytes and mode %v", path, info.Size(), info.Mode())
	}
}

// TestOpenMendsAndPrunes: what a power cut left is written again; what another
// version left goes once it is old, and nothing else.
func TestOpenMendsAndPrunes(t *testing.T) {
	if !Embedded() {
		t.Skip("this build embeds no program (tag skiff_embed)")
	}
	s := open(t)
	dir := filepath.Join(s.Root, folder)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old, young, half := filepath.Join(dir, prefix+"old"), filepath.Join(dir, prefix+"young"), filepath.Join(dir, ".new-1")
	for _, path := range []string{old, young, half, filepath.Join(dir, prefix+digest)} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-2 * keep)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	path, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != content {
		t.Errorf("the program was not written again: %d bytes, %v", len(data), err)
	}
	for file, want := range map[string]bool{old: false, half: false, young: true} {
		if _, err := os.Stat(file); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}
