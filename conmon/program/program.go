package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

const (
	folder = "libexec"
	prefix = "skiff-shim-"
	// keep is how long a program of another version stays after it was written: two
	// versions in turn on one store shall not delete each other's between look and use.
	keep = 24 * time.Hour
)

// Embedded tells whether this program carries the small one.
func Embedded() bool { return content != "" }

// Open returns the absolute path of the program to start a shim with. Where a small
// one is embedded it lies in the store, named by its hash, written by whoever
// needs it first; a call that finds it there costs two system calls.
//
// It is the running program itself where none is embedded, and where the store
// lies on a file system mounted noexec (a copy in memory would do as well, but
// costs every container its own).
func Open(s *store.Store) (string, error) {
	if !Embedded() {
		return self()
	}
	path := filepath.Join(s.Root, folder, prefix+digest)
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return "", fmt.Errorf("finding the shim's program %s: %w", path, err)
	}
	// A wrong size is what a power cut may leave of a file that was not synced.
	if err != nil || st.Size != int64(len(content)) {
		if err := write(s, path); err != nil {
			return "", fmt.Errorf("writing the shim's program %s: %w", path, err)
		}
	}
	if noexec(path) {
		return self()
	}
	return path, nil
}

// self is the path of the running program. /proc/self/exe would not do: it is
// started from inside a new mount namespace, where that names a foreign mount.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding skiff's own program: %w", err)
	}
	return path, nil
}

func noexec(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOEXEC != 0
}

// write puts the program at path in one step, and deletes what other versions left.
func write(s *store.Store, path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := s.Lock("program")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if st, err := os.Stat(path); err == nil && st.Size() == int64(len(content)) {
		return nil // another process was faster
	}
	f, err := fill(dir)
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return err
	}
	prune(s, dir, filepath.Base(path))
	return store.SyncFolder(dir)
}

// fill writes the program to a temporary file. The descriptor is closed before the
// file gets its name, and nothing is forked meanwhile that would have it for a while:
// a program that is open for writing cannot be executed (ETXTBSY). Everybody may execute
// it, as a container's root may be nobody to the store; the folder is for its user only.
func fill(dir string) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Chmod(0o555)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// prune deletes the programs of other versions that no live process runs, and
// halves that a writer left who died. The caller holds the lock "program".
func prune(s *store.Store, dir, current string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	live, err := s.Live()
	if err != nil {
		return
	}
	var running []os.FileInfo
	for _, id := range live {
		if exe, err := os.Stat(fmt.Sprintf("/proc/%d/exe", id.PID)); err == nil {
			running = append(running, exe)
		}
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || entry.Name() == current {
			continue
		}
		old := strings.HasPrefix(entry.Name(), prefix) && time.Since(info.ModTime()) > keep && !among(running, info)
		if old || strings.HasPrefix(entry.Name(), ".new-") {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

func among(files []os.FileInfo, one os.FileInfo) bool {
	for _, f := range files {
		if os.SameFile(f, one) {
			return true
		}
	}
	return false
}
