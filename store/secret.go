package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNoSecret: no secret has that name.
var ErrNoSecret = errors.New("no such secret")

// ErrSecretTaken: a secret has that name already.
var ErrSecretTaken = errors.New("the secret's name is in use")

// MaxSecret is the size of the largest secret in bytes, as podman has it.
const MaxSecret = 512000

// StoredSecret is secrets/<name>.json: what containers may be given without it standing
// in their options. Only the user can read the file; it is not encrypted.
type StoredSecret struct {
	ID      string // 25 hexadecimal digits
	Name    string
	Created time.Time
	Updated time.Time
	Labels  map[string]string `json:",omitempty"`
	Data    []byte            // base64 in JSON
}

const secretSuffix = ".json"

// PutSecret keeps a secret. One of the same name is ErrSecretTaken, or, with replace,
// gives way, and its id goes over to the new one.
func (s *Store) PutSecret(secret *StoredSecret, replace bool) error {
	lock, err := s.Lock("secrets")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	folder := s.path("secrets")
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	forgetHalves(folder)
	old, err := s.readSecret(secret.Name)
	switch {
	case err == nil && !replace:
		return fmt.Errorf("%w: %s", ErrSecretTaken, secret.Name)
	case err == nil:
		secret.ID, secret.Created = old.ID, old.Created
	case !errors.Is(err, ErrNoSecret):
		return err
	}
	return WriteJSON(filepath.Join(folder, secret.Name+secretSuffix), secret, Durable)
}

// forgetHalves deletes what a writer that died has left. The lock on secrets is held,
// so nobody is writing.
func forgetHalves(folder string) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// Secret finds a secret by its name, its id, or a beginning of the id that no other
// has. It wraps ErrNoSecret.
func (s *Store) Secret(ref string) (*StoredSecret, error) {
	secret, err := s.readSecret(ref)
	if err == nil || !errors.Is(err, ErrNoSecret) {
		return secret, err
	}
	all, listErr := s.Secrets()
	if listErr != nil {
		return nil, listErr
	}
	var found *StoredSecret
	for _, candidate := range all {
		if ref == "" || !strings.HasPrefix(candidate.ID, ref) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("several secrets match: %s", ref)
		}
		found = candidate
	}
	if found == nil {
		return nil, err
	}
	return found, nil
}

func (s *Store) readSecret(name string) (*StoredSecret, error) {
	if name == "" || !ValidName(name) {
		return nil, fmt.Errorf("%w: %s", ErrNoSecret, name)
	}
	data, err := os.ReadFile(s.path("secrets", name+secretSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoSecret, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading secret %q: %w", name, err)
	}
	secret := new(StoredSecret)
	if err := json.Unmarshal(data, secret); err != nil {
		return nil, fmt.Errorf("reading secret %q: %w", name, err)
	}
	return secret, nil
}

// Secrets lists all secrets by name.
func (s *Store) Secrets() ([]*StoredSecret, error) {
	entries, err := os.ReadDir(s.path("secrets"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing secrets: %w", err)
	}
	var all []*StoredSecret
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), secretSuffix)
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		secret, err := s.readSecret(name)
		if errors.Is(err, ErrNoSecret) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, secret)
	}
	slices.SortFunc(all, func(a, b *StoredSecret) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// RemoveSecret deletes a secret, as Secret finds it, and returns its id. Containers that
// were made with it keep what they have.
func (s *Store) RemoveSecret(ref string) (id string, err error) {
	secret, err := s.Secret(ref)
	if err != nil {
		return "", err
	}
	err = os.Remove(s.path("secrets", secret.Name+secretSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %s", ErrNoSecret, ref)
	}
	return secret.ID, err
}
