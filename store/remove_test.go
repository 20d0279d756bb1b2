package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// The tree that is removed lies beside what a link in it leads to.
func TestRemoveTreeFollowsNoLink(t *testing.T) {
	s := newStore(t)
	put(t, s.path("tmp", "kept", "file"), "x")
	tree := s.path("tmp", "tree")
	put(t, filepath.Join(tree, "file"), "x")
	must(t, os.Symlink(s.path("tmp", "kept"), filepath.Join(tree, "link")))
	must(t, os.Symlink("/nowhere", filepath.Join(tree, "dangling")))
	must(t, unix.Mkfifo(filepath.Join(tree, "pipe"), 0o600))
	must(t, s.RemoveTree(tree))
	wantMissing(t, tree)
	wantContent(t, s.path("tmp", "kept", "file"), "x")
	link := s.path("tmp", "link")
	must(t, os.Symlink(s.path("tmp", "kept"), link))
	must(t, s.RemoveTree(link))
	wantMissing(t, link)
	wantContent(t, s.path("tmp", "kept", "file"), "x")
	must(t, s.RemoveTree(s.path("tmp", "never was")))
}

func TestRemoveTreeOfClosedFolders(t *testing.T) {
	s := newStore(t)
	tree := s.path("tmp", "tree")
	put(t, filepath.Join(tree, "a/b/c/file"), "x")
	must(t, os.Chmod(filepath.Join(tree, "a/b/c"), 0o500))
	must(t, os.Chmod(filepath.Join(tree, "a/b"), 0))
	must(t, os.Chmod(filepath.Join(tree, "a"), 0o100))
	must(t, s.RemoveTree(tree))
	wantMissing(t, tree)
}

// A container may make paths far longer than PATH_MAX, and deeper than a process
// may have descriptors.
func TestRemoveTreeOfDepth(t *testing.T) {
	s := newStore(t)
	tree := s.path("tmp", "tree")
	must(t, os.Mkdir(tree, 0o755))
	at, err := unix.Open(tree, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	name := strings.Repeat("d", 100)
	for range 3000 {
		must(t, unix.Mkdirat(at, name, 0o755))
		must(t, unix.Symlinkat("x", at, ".deep-1"))
		next, err := unix.Openat(at, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	must(t, s.RemoveTree(tree))
	wantMissing(t, tree)
}

func TestRemoveTreeOfManyFiles(t *testing.T) {
	s := newStore(t)
	tree := s.path("tmp", "tree")
	for i := range 5000 {
		must(t, os.MkdirAll(filepath.Join(tree, string(rune('a'+i%26))), 0o755))
		f, err := os.CreateTemp(filepath.Join(tree, string(rune('a'+i%26))), "")
		must(t, err)
		f.Close()
	}
	must(t, s.RemoveTree(tree))
	wantMissing(t, tree)
}

// What subordinate ids own is deleted by a stage in the user namespace.
func TestRemoveTreeOfSubordinateIDs(t *testing.T) {
	s := newStore(t)
	withinStore(t, s, func(t *testing.T, root string) {
		needOwners(t)
		inside := filepath.Join(root, "tree")
		put(t, inside+"/secret/deep/file", "x")
		for _, path := range []string{"/secret/deep/file", "/secret/deep", "/secret"} {
			must(t, os.Chown(inside+path, 1000, 1000))
		}
		must(t, os.Chmod(inside+"/secret", 0))
	})
	tree := s.path("tmp", "tree")
	mapping, err := userns.Current()
	must(t, err)
	if os.Geteuid() != 0 && !mapping.Single {
		dir, err := os.Open(s.path("tmp"))
		must(t, err)
		defer dir.Close()
		if err := removeTree(dir, "tree"); !errors.Is(err, os.ErrPermission) {
			t.Errorf("the user alone: %v, want a refusal", err)
		}
	}
	must(t, s.RemoveTree(tree))
	wantMissing(t, tree)
	if live, err := s.Live(); err != nil || len(live) != 0 {
		t.Errorf("live/ holds %v (%v)", live, err)
	}
}
