package store

import (
	"errors"
	"fmt"
	"os"
)

// ValidName tells whether name may name a container, by Docker's rule: a letter
// or digit, then letters, digits, '_', '.' and '-'.
func ValidName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return name != ""
}

// takeName points names/<name> at id. A name that leads nowhere was left by a
// process that died between two steps of Create, Unlink or Rename, and is taken over.
func (s *Store) takeName(name, id string) error {
	if err := os.Symlink(id, s.path("names", name)); !errors.Is(err, os.ErrExist) {
		return err
	}
	lock, err := s.Lock("names")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return s.claimName(name, id)
}

// claimName is takeName for a caller who holds the lock of the names.
func (s *Store) claimName(name, id string) error {
	link := s.path("names", name)
	if err := os.Symlink(id, link); !errors.Is(err, os.ErrExist) {
		return err
	}
	holder, err := os.Readlink(link)
	if err == nil && holder != id && s.claims(holder, name) {
		return fmt.Errorf("%w by container %.12s", ErrNameTaken, holder)
	}
	if err == nil {
		if err := os.Remove(link); err != nil {
			return err
		}
	}
	if err := os.Symlink(id, link); errors.Is(err, os.ErrExist) {
		return ErrNameTaken
	} else {
		return err
	}
}

// freeName removes names/<name> where it still points at id. It looks and removes
// under the lock under which a dead name is taken over, or it would remove the
// name of the one who took it.
func (s *Store) freeName(name, id string) error {
	if !ValidName(name) {
		return nil
	}
	lock, err := s.Lock("names")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return s.dropName(name, id)
}

// dropName is freeName for a caller who holds the lock of the names.
func (s *Store) dropName(name, id string) error {
	link := s.path("names", name)
	if holder, err := os.Readlink(link); err != nil || holder != id {
		return nil
	}
	return os.Remove(link)
}

// claims tells whether a container of that id exists, or is just being made, and has
// the name. The caller holds the lock of the names. It looks twice, as a staged one may
// get its place between the first looks.
func (s *Store) claims(id, name string) bool {
	c := s.byID(id)
	if c == nil {
		if s.staged(s.path("tmp", "create-"+id)) {
			return true
		}
		if c = s.byID(id); c == nil {
			return false
		}
	}
	r, err := c.Record()
	return err != nil || r.Name == name // else left by a rename that died
}

// freeDeadNames removes every name that is no container's.
func (s *Store) freeDeadNames() error {
	entries, err := os.ReadDir(s.path("names"))
	if err != nil {
		return fmt.Errorf("listing names: %w", err)
	}
	lock, err := s.Lock("names")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	var failed []error
	for _, e := range entries {
		if id, err := os.Readlink(s.path("names", e.Name())); err == nil && !s.claims(id, e.Name()) {
			failed = append(failed, s.dropName(e.Name(), id))
		}
	}
	return errors.Join(failed...)
}
