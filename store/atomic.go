package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/oci/push"
	"golang.org/x/sys/unix"
)

// Durability says whether a change must survive a power cut.
type Durability bool

// Durable files are synced before they get their name, and their directory after.
// Fleeting ones are atomic for other processes, but a power cut may lose or empty them:
// right for what belongs to a --rm container.
const (
	Durable  Durability = true
	Fleeting Durability = false
)

// WriteFile replaces the file at path by data in one step: readers see the old or
// the new content, never a part. Mode is 0600.
func WriteFile(path string, data []byte, d Durability) (err error) {
	folder, base := filepath.Dir(path), filepath.Base(path)
	f, err := os.CreateTemp(folder, "."+base+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, cause(err))
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, cause(err))
		}
	}()
	if _, err = f.Write(data); err != nil {
		f.Close()
		return err
	}
	if d == Durable {
		if err = f.Sync(); err != nil {
			f.Close()
			return err
		}
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d == Durable {
		return SyncFolder(folder)
	}
	return nil
}

// cause is what an error says without the path that it says it of.
func cause(err error) error {
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		return of.Err
	}
	return err
}

// WriteJSON is WriteFile of v as JSON.
func WriteJSON(path string, v any, d Durability) error {
	data, err := push.JSON(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return WriteFile(path, data, d)
}

// overwriteJSON writes v as JSON over the file at path, in the blocks that it has:
// a last resort, as a power cut may leave a part. Spaces fill up what the file was
// longer by.
func overwriteJSON(path string, v any) error {
	data, err := push.JSON(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for int64(len(data)) < info.Size() {
		data = append(data, ' ')
	}
	_, err = f.WriteAt(data, 0)
	return err
}

// writeFresh writes v as JSON to a file that must not exist and that nobody reads
// yet, as its folder is being staged.
func writeFresh(path string, v any, d Durability) error {
	data, err := push.JSON(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && d == Durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReadJSON reads the JSON file at path into v.
func ReadJSON(path string, v any) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	return parse(path, data, v)
}

func parse(path string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("parsing %s: %w", path, err)
	}
	return nil
}

// readQuickly is ReadJSON for a file that quick mostly understands; nil says that it does not.
func readQuickly[T any](path string, quick func(data []byte) *T) (*T, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if v := quick(data); v != nil {
		return v, nil
	}
	v := new(T)
	if err := parse(path, data, v); err != nil {
		return nil, err
	}
	return v, nil
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("syncing folder %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("syncing folder %s: %w", path, err)
	}
	return nil
}
