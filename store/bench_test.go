package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(filepath.Join(b.TempDir(), "root"))
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Sweep(); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkSweepOfNothing(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		if err := s.Sweep(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDriver(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		if _, err := s.Driver(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateAndRemove(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		c, err := s.Create(record("name", true), Fleeting, noFill)
		if err != nil {
			b.Fatal(err)
		}
		u, err := c.Unlink()
		if err != nil {
			b.Fatal(err)
		}
		if err := u.Delete(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnter starts and ends a process in U: made for it, and joined.
func BenchmarkEnter(b *testing.B) {
	enter := func(b *testing.B, s *Store) {
		for b.Loop() {
			p, _, err := s.Enter(&userns.Command{Path: "/bin/true", Args: []string{"true"}}, unix.CLONE_NEWNS, "stage-bench")
			if err != nil {
				b.Fatal(err)
			}
			p.Wait()
			s.Leave("stage-bench")
		}
	}
	b.Run("created", func(b *testing.B) { enter(b, benchStore(b)) })
	b.Run("joined", func(b *testing.B) {
		s := benchStore(b)
		read, write, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		p, _, err := s.Enter(&userns.Command{Path: "/bin/cat", Args: []string{"cat"}, Stdin: read}, 0, "stage-holder")
		if err != nil {
			b.Fatal(err)
		}
		enter(b, s)
		read.Close()
		write.Close()
		p.Wait()
		s.Leave("stage-holder")
	})
}
