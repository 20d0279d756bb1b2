package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Format is the version of the tree that this program reads and writes.
const Format = 1

// Store is an open store. Its methods may be used by any number of goroutines
// and processes at once.
type Store struct {
	Root string // absolute path
}

// DefaultRoot is where the store lies when nobody says otherwise:
// $SKIFF_ROOT, else $XDG_DATA_HOME/skiff, else ~/.local/share/skiff.
func DefaultRoot() (string, error) {
	if root := os.Getenv("SKIFF_ROOT"); root != "" {
		return filepath.Abs(root)
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "skiff"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", &userns.HostError{What: "finding the store: HOME is no absolute path", Hint: "set HOME, or say where with --root or SKIFF_ROOT"}
	}
	return filepath.Join(home, ".local", "share", "skiff"), nil
}

// FormatError is a store of a newer skiff.
type FormatError struct {
	Root string
	Have string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("store %q has format %s, this skiff reads %d", e.Root, e.Have, Format)
}

var folders = []string{"blobs/sha256", "refs", "layers", "images", "containers", "names", "live", "networks", "helper", "events", "tmp", "locks"}

// Open opens the store at root, making it where it is missing. It refuses one that
// is not the caller's alone.
func Open(root string) (*Store, error) {
	if err := refuseForeign(root); err != nil {
		return nil, err
	}
	s := &Store{Root: root}
	have, err := os.ReadFile(s.path("version"))
	if errors.Is(err, os.ErrNotExist) {
		return s, s.create()
	}
	if err != nil {
		return nil, unusable("opening", root, err)
	}
	text := strings.TrimSpace(string(have))
	if n, err := strconv.Atoi(text); err != nil || n > Format {
		return nil, &FormatError{root, text}
	}
	return s, nil
}

// create lays the tree out; the version comes last, so that a half-made store is made again.
func (s *Store) create() error {
	if err := os.MkdirAll(s.Root, 0o700); err != nil {
		return unusable("creating", s.Root, err)
	}
	if err := refuseRemote(s.Root); err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.MkdirAll(s.path(folder), 0o700); err != nil {
			return fmt.Errorf("creating store %q: %w", s.Root, err)
		}
	}
	return WriteFile(s.path("version"), []byte(strconv.Itoa(Format)+"\n"), Durable)
}

// unusable is a store that cannot be read or made, in a home that is read-only or another's, say.
func unusable(doing, root string, err error) error {
	what := fmt.Sprintf("%s store %q", doing, root)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		return &userns.HostError{What: what, Hint: "name a folder that you may write to by --root or SKIFF_ROOT", Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// RemoteError is a store on a network file system, whose locks and owners do not
// hold across machines.
type RemoteError struct{ Root string }

func (e *RemoteError) Error() string {
	return fmt.Sprintf("store %q lies on a network file system, where locks, owners and sockets do not work", e.Root)
}

func refuseRemote(root string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return fmt.Errorf("inspecting store %q: %w", root, err)
	}
	switch st.Type {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.V9FS_MAGIC:
		return &RemoteError{root}
	}
	return nil
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.Root}, elem...)...)
}
