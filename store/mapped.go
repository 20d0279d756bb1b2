package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// A container whose ids are not those of U needs the files of its image with other
// owners. Such a tree is made once per layer and mapping, beside the plain one, and
// shared by all containers and images from then on: layers/<diff id>-<mapping>. It goes
// with its layer.

// MapName names a mapping among the trees of a layer: "" for the ids of U.
func MapName(m *userns.Mapping) string {
	if m == nil || !m.Shifts() {
		return ""
	}
	text := strings.Join(FormatIDMaps(m.UIDs), " ") + "\n" + strings.Join(FormatIDMaps(m.GIDs), " ")
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// MappedTree is [LayerTree] for a mapping by its name.
func MappedTree(root, diffID, mapping string) string {
	if mapping == "" {
		return LayerTree(root, diffID)
	}
	return LayerTree(root, diffID) + "-" + mapping
}

// HasMapped tells whether a layer is there for a mapping.
func (s *Store) HasMapped(diffID, mapping string) bool {
	_, err := os.Lstat(MappedTree(s.Root, diffID, mapping))
	return err == nil
}

// MapLayer makes a layer's tree for a mapping, from the plain one, unless it is there.
// Where another process makes it, that is awaited; waiting is called then. done is told
// how many bytes are copied, now and then, from another goroutine. It returns when the
// tree is on disk.
func (s *Store) MapLayer(ctx context.Context, diffID string, m *userns.Mapping, waiting func(), done func(bytes int64)) error {
	name := MapName(m)
	if s.HasMapped(diffID, name) {
		return nil
	}
	lock, err := s.lockTree(ctx, filepath.Base(MappedTree(s.Root, diffID, name)), waiting)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if s.HasMapped(diffID, name) {
		return nil
	}
	plain, err := os.OpenFile(s.LayerPath(diffID), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoLayer, diffID)
	}
	if err != nil {
		return fmt.Errorf("opening layer %s: %w", diffID, err)
	}
	defer plain.Close()
	staged, err := s.StageLayer()
	if err != nil {
		return err
	}
	err = s.runRemap(ctx, m, plain, staged, done)
	if err == nil {
		err = unix.Syncfs(int(staged.Dir.Fd()))
	}
	if err == nil {
		err = staged.commitMapped(diffID, name)
	}
	if err != nil {
		staged.Discard()
		return fmt.Errorf("preparing layer %.19s for other ids: %w", diffID, err)
	}
	staged.Close()
	return nil
}

// commitMapped makes the directory the layer's tree for a mapping, as long as there
// is the layer: whoever removes that takes along what he finds beside it.
func (l *StagedLayer) commitMapped(diffID, name string) error {
	lock, err := l.store.lockImages(shared)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if !l.store.HasLayer(diffID) {
		return fmt.Errorf("%w: %s", ErrNoLayer, diffID)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, l.path, unix.AT_FDCWD, MappedTree(l.store.Root, diffID, name), unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	return SyncFolder(l.store.path("layers"))
}

// mappedBeside are the names of a layer's trees for other ids.
func (s *Store) mappedBeside(diffID string) ([]string, error) {
	paths, err := filepath.Glob(s.LayerPath(diffID) + "-*")
	return paths, err
}

// runRemap runs the stage that copies; cancelling ctx ends it.
func (s *Store) runRemap(ctx context.Context, m *userns.Mapping, plain *os.File, staged *StagedLayer, done func(int64)) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	told := make(chan struct{})
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil && done != nil {
				done(n)
			}
		}
	}()
	// Its end of this pipe is how the stage notices that nobody wants it any longer.
	wanted, ours, err := os.Pipe()
	if err != nil {
		write.Close()
		return err
	}
	defer wanted.Close()
	defer ours.Close()
	defer context.AfterFunc(ctx, func() { ours.Close() })()
	args := []string{remapStage, strings.Join(FormatIDMaps(m.UIDs), ","), strings.Join(FormatIDMaps(m.GIDs), ",")}
	_, err = s.runStage(args, 0, userns.File{Name: "plain", File: plain}, userns.File{Name: "layer", File: staged.Dir},
		userns.File{Name: "lock", File: staged.Lock}, userns.File{Name: "progress", File: write}, userns.File{Name: "wanted", File: wanted})
	write.Close()
	<-told
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// remapStage is the argv[0] of the process that copies a layer for other ids. It is
// root of U, in the host's mount namespace.
//
//	argv       the maps of user and of group ids, "inside:outside:size,…"
//	"plain"    the layer's tree, with the owners of U
//	"layer"    the empty directory to fill
//	"lock"     kept open: it says that somebody works on the directory
//	"progress" gets the number of bytes copied, a line each
//	"wanted"   its end says that nobody waits any longer
const remapStage = "skiff-remap"

func remap() int {
	if err := runRemapStage(); err != nil {
		return complain(err)
	}
	return 0
}

func runRemapStage() error {
	if len(os.Args) != 3 {
		return errors.New("no maps")
	}
	mapping, err := (&IDMappings{UIDMap: strings.Split(os.Args[1], ","), GIDMap: strings.Split(os.Args[2], ",")}).Mapping()
	if err != nil {
		return err
	}
	files := map[string]*os.File{}
	for _, name := range []string{"plain", "layer", "lock", "progress", "wanted"} {
		if files[name], err = userns.Passed(name); err != nil {
			return err
		}
		defer files[name].Close()
	}
	go func() {
		if _, err := io.Copy(io.Discard, files["wanted"]); err == nil {
			os.Exit(1)
		}
	}()
	unix.Umask(0)
	source, err := unix.Openat(int(files["plain"].Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", ".", err)
	}
	defer unix.Close(source)
	return remapTree(source, int(files["layer"].Fd()), mapping, files["progress"])
}
