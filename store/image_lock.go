package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// How the lock on images is taken: shared by those who only need that nothing
// goes away, exclusive by those who change names or remove. Nobody keeps it while
// something slow is done.
const (
	shared    = unix.LOCK_SH
	exclusive = unix.LOCK_EX
)

func (s *Store) lockImages(how int) (*Lock, error) {
	f, err := os.OpenFile(s.path("locks", "images"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the images: %w", err)
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the images: %w", err)
	}
	return &Lock{f}, nil
}

// Pin keeps blobs and layers from being collected while an image is made of them.
// It holds as long as the process lives: tmp/pin-<random> lists the digests, and
// counts while its lock is held.
type Pin struct {
	file *os.File
}

const pinPrefix = "pin-"

// Pin protects digests of blobs, and diff ids, from now on. What the caller finds
// in the store afterwards stays there until Release.
func (s *Store) Pin(digests []string) (*Pin, error) {
	lock, err := s.lockImages(exclusive) // else a collector may look between the next two steps
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	f, err := s.freshFile(pinPrefix)
	if err != nil {
		return nil, fmt.Errorf("pinning: %w", err)
	}
	p := &Pin{f}
	if _, err := f.WriteString(strings.Join(digests, "\n")); err != nil {
		p.Release()
		return nil, fmt.Errorf("pinning: %w", err)
	}
	return p, nil
}

// Release ends the protection.
func (p *Pin) Release() {
	os.Remove(p.file.Name())
	p.file.Close()
}

// pinned marks what living processes protect. The caller holds the lock on images
// exclusively.
func (s *Store) pinned(mark func(digest string)) error {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return fmt.Errorf("reading pins: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), pinPrefix) {
			continue
		}
		f, err := os.Open(s.path("tmp", e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading pins: %w", err)
		}
		// Where the lock can be had its holder is dead, and a sweep deletes the file.
		if flock(f, unix.LOCK_SH|unix.LOCK_NB) != nil {
			for lines := bufio.NewScanner(f); lines.Scan(); {
				mark(lines.Text())
			}
		}
		f.Close()
	}
	return nil
}
