package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"
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
)

// ValidName is Docker's rule for the names of containers.
var ValidName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

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
	defer claim.Close()
	named := false
	defer func() {
		if err != nil {
			if named {
				os.Remove(s.path("names", record.Name))
			}
			os.RemoveAll(staging)
			err = fmt.Errorf("creating container %q: %w", record.Name, err)
		}
	}()
	for _, folder := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(staging, folder), 0o755); err != nil {
			return nil, err
		}
	}
	if err := WriteJSON(filepath.Join(staging, "record.json"), record, d); err != nil {
		return nil, err
	}
	if err := WriteState(staging, &State{Status: Created}, d); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(staging, "alive"), nil, 0o600); err != nil {
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

// takeName points names/<name> at id. A name that leads nowhere was left by a
// process that died between two steps of Create or Remove, and is taken over.
func (s *Store) takeName(name, id string) error {
	link := s.path("names", name)
	if err := os.Symlink(id, link); !errors.Is(err, os.ErrExist) {
		return err
	}
	lock, err := s.Lock("names")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	holder, err := os.Readlink(link)
	if err == nil && s.claimed(holder) {
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

// claimed tells whether a container of that id exists or is just being made.
func (s *Store) claimed(id string) bool {
	if _, err := os.Lstat(s.path("containers", id)); err == nil {
		return true
	}
	return s.staged(s.path("tmp", "create-"+id))
}

// Find resolves a name, an id, or a unique prefix of an id, in that order as Docker does.
// It wraps ErrNoContainer or ErrAmbiguous.
func (s *Store) Find(ref string) (*Container, error) {
	ref = strings.TrimPrefix(ref, "/")
	if len(ref) == 64 {
		if c := s.byID(ref); c != nil {
			return c, nil
		}
	}
	if ValidName.MatchString(ref) {
		if id, err := os.Readlink(s.path("names", ref)); err == nil {
			if c := s.byID(id); c != nil {
				return c, nil
			}
		}
	}
	if ref == "" || strings.Trim(ref, "0123456789abcdef") != "" {
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

// Record reads what was asked. It fails with ErrNoContainer where the container went meanwhile.
func (c *Container) Record() (*Record, error) {
	var r Record
	if err := ReadJSON(filepath.Join(c.Dir, "record.json"), &r); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	} else if err != nil {
		return nil, fmt.Errorf("reading container %.12s: %w", c.ID, err)
	}
	return &r, nil
}

// WriteState replaces state.json in a container's folder.
func WriteState(dir string, state *State, d Durability) error {
	return WriteJSON(filepath.Join(dir, "state.json"), state, d)
}

// State says what became of the container, and is the one place that knows
// whether it runs: state.json, the lock on alive, and the identity of its first process.
//
// Where the shim died without a word, the container's first process is killed and
// waited for before State returns, so that nothing touches its files any longer;
// the state is then Exited with code 137 and Error says why, and is written back.
func (c *Container) State() (*State, error) {
	var state State
	if err := ReadJSON(filepath.Join(c.Dir, "state.json"), &state); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	} else if err != nil {
		return nil, fmt.Errorf("reading container %.12s: %w", c.ID, err)
	}
	if state.Status != Running {
		return &state, nil
	}
	held, err := alive(c.Dir)
	if err != nil || held {
		return &state, err
	}
	return c.bury(state)
}

// bury ends a container whose shim is gone. The state is read again under a lock,
// as the shim may have written its end between our two looks.
func (c *Container) bury(old State) (*State, error) {
	lock, err := c.store.Lock("container-" + c.ID)
	if err != nil {
		return nil, err
	}
	defer c.store.forget("container-"+c.ID, lock)
	var state State
	if err := ReadJSON(filepath.Join(c.Dir, "state.json"), &state); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	} else if err != nil {
		return nil, err
	}
	if state.Status != Running || state.Shim != old.Shim {
		return &state, nil
	}
	if err := state.Init.KillAndWait(10 * time.Second); err != nil {
		return nil, fmt.Errorf("ending container %.12s, whose shim died: %w", c.ID, err)
	}
	state.Status, state.ExitCode, state.FinishedAt = Exited, 137, time.Now().UTC()
	state.Error = "the shim was killed"
	if state.Init.Boot != bootID() {
		state.Error = "the machine was restarted"
	}
	c.store.Leave(c.ID)
	return &state, WriteState(c.Dir, &state, Durable)
}

// Unlink takes the container out of the store in one step: its folder moves under
// tmp/, from where [Store.Sweep] or the caller deletes it, and its name is free.
// It returns the folder's new path.
func (c *Container) Unlink() (string, error) {
	name := ""
	if r, err := c.Record(); err == nil {
		name = r.Name
	}
	gone := c.store.path("tmp", "remove-"+c.ID)
	if err := os.Rename(c.Dir, gone); errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	} else if err != nil {
		return "", fmt.Errorf("removing container %.12s: %w", c.ID, err)
	}
	if name != "" {
		if id, err := os.Readlink(c.store.path("names", name)); err == nil && id == c.ID {
			os.Remove(c.store.path("names", name))
		}
	}
	return gone, nil
}
