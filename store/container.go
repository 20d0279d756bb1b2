package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/skiff-containers/skiff/userns"
)

// Container is one container's folder. The zero value is of no use; Create,
// Container and Containers give one.
type Container struct {
	store *Store
	ID    string // 64 hexadecimal digits
	Dir   string // absolute path of its folder
}

// Errors of this package that callers tell apart.
var (
	ErrNoContainer = errors.New("no such container")
	ErrNameTaken   = errors.New("name is taken")
	ErrAmbiguous   = errors.New("several containers match")
	ErrRunning     = errors.New("the container is running")
	ErrDamaged     = errors.New("the container is damaged")
)

// errEmptyReference is Docker's word for what an unset variable leaves of a name.
var errEmptyReference = errors.New("invalid container name or ID: value is empty")

// NewID returns a fresh container id.
func NewID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Create makes the folder of a new container. Its content is staged under tmp/,
// where fill writes what belongs to it, and appears in one step. The name is
// taken first; ErrNameTaken is wrapped where another container has it. With
// Fleeting nothing is synced to disk.
func (s *Store) Create(record *Record, d Durability, fill func(dir string) error) (c *Container, err error) {
	staging := s.path("tmp", "create-"+record.ID)
	claim, err := s.stage(staging)
	if err != nil {
		return nil, err
	}
	defer claim.Unlock()
	named := false
	defer func() {
		if err != nil {
			if named {
				s.freeName(record.Name, record.ID)
			}
			os.RemoveAll(staging)
			err = fmt.Errorf("creating container %q: %w", record.Name, err)
		}
	}()
	if err := lay(staging, record, d); err != nil {
		return nil, err
	}
	if err := fill(staging); err != nil {
		return nil, err
	}
	if err := s.takeName(record.Name, record.ID); err != nil {
		return nil, err
	}
	named = true
	if d == Durable {
		if err := SyncFolder(staging); err != nil {
			return nil, err
		}
	}
	c = &Container{s, record.ID, s.path("containers", record.ID)}
	if err := os.Rename(staging, c.Dir); err != nil {
		return nil, err
	}
	if d == Durable {
		return c, errors.Join(SyncFolder(s.path("containers")), SyncFolder(s.path("names")))
	}
	return c, nil
}

// lay writes what every container's folder has. Nobody reads it yet, so nothing
// needs to be renamed into place.
func lay(dir string, record *Record, d Durability) error {
	for _, folder := range []string{"upper", "work", "merged"} {
		if err := mkdirForAll(filepath.Join(dir, folder)); err != nil {
			return err
		}
	}
	if err := writeFresh(filepath.Join(dir, "record.json"), record, d); err != nil {
		return err
	}
	if err := writeFresh(filepath.Join(dir, "state.json"), &State{Status: Created}, d); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "alive"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Find resolves a name, an id, or a unique prefix of an id, in that order as Docker does.
// It wraps ErrNoContainer or ErrAmbiguous.
func (s *Store) Find(ref string) (*Container, error) {
	ref = strings.TrimPrefix(ref, "/")
	if ref == "" {
		return nil, errEmptyReference
	}
	if len(ref) == 64 {
		if c := s.byID(ref); c != nil {
			return c, nil
		}
	}
	if ValidName(ref) {
		if id, err := os.Readlink(s.path("names", ref)); err == nil {
			if c := s.byID(id); c != nil {
				return c, nil
			}
		}
	}
	if strings.Trim(ref, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoContainer, ref)
	}
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	var found *Container
	for _, id := range ids {
		if strings.HasPrefix(id, ref) {
			if found != nil {
				return nil, fmt.Errorf("%w: %s", ErrAmbiguous, ref)
			}
			found = s.byID(id)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoContainer, ref)
	}
	return found, nil
}

func (s *Store) byID(id string) *Container {
	dir := s.path("containers", id)
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	return &Container{s, id, dir}
}

func (s *Store) ids() ([]string, error) {
	f, err := os.Open(s.path("containers"))
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	defer f.Close()
	ids, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	sort.Strings(ids)
	return ids, nil
}

// Containers returns every container, in no order that means something.
func (s *Store) Containers() ([]*Container, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	all := make([]*Container, len(ids))
	for i, id := range ids {
		all[i] = &Container{s, id, s.path("containers", id)}
	}
	return all, nil
}

// Record reads what was asked. It fails with ErrNoContainer where the container went
// meanwhile, and with ErrDamaged where the file cannot be understood: such a
// container can be removed, and nothing else.
func (c *Container) Record() (*Record, error) {
	r, err := readQuickly(filepath.Join(c.Dir, "record.json"), quickRecord)
	if err != nil {
		return nil, c.explain("record.json", err)
	}
	return r, nil
}

// explain tells a container that went from one whose files are broken.
func (c *Container) explain(file string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		if _, gone := os.Lstat(c.Dir); errors.Is(gone, os.ErrNotExist) {
			return fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
		}
	}
	return &userns.HostError{
		What: fmt.Sprintf("reading %s of container %.12s", file, c.ID),
		Hint: fmt.Sprintf("skiff rm -f %.12s", c.ID),
		Err:  errors.Join(ErrDamaged, err),
	}
}
