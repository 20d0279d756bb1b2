package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// The test of trees for other ids runs two stages of its own in U: one fills a plain
// tree, the other shows a tree.
const (
	fillStage = "test-fill"
	showStage = "test-show"
)

// fillTree is the stage that fills a tree with all that layers may have.
func fillTree() int {
	dir, err := userns.Passed("tree")
	if err == nil {
		err = os.Chdir(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	}
	if err != nil {
		return complain(err)
	}
	unix.Umask(0)
	for _, step := range []error{
		os.Mkdir("folder", 0o2750), os.Chmod("folder", 0o750|os.ModeSetgid),
		os.WriteFile("folder/small", []byte("small\n"), 0o640),
		os.WriteFile("large", make([]byte, 3*smallFile+1), 0o644),
		os.Link("folder/small", "twin"),
		os.Symlink("/nowhere", "link"),
		os.WriteFile("set-id", []byte("x"), 0o755), os.Lchown("set-id", 7, 8), os.Chmod("set-id", 0o755|os.ModeSetuid|os.ModeSetgid),
		os.WriteFile("far", []byte("x"), 0o755), os.Lchown("far", 5000, 5000), os.Chmod("far", 0o755|os.ModeSetuid),
		unix.Mknod("gone", unix.S_IFCHR, 0),
		unix.Mkfifo("fifo", 0o600),
		unix.Setxattr("folder", opaqueAttribute, []byte("y"), 0),
		unix.Setxattr("large", "user.note", []byte("kept"), 0),
		os.Lchown("link", 7, 7), os.Lchown("folder", 7, 0),
		unix.UtimesNanoAt(unix.AT_FDCWD, "folder", []unix.Timespec{{Sec: 1}, {Sec: 2}}, 0),
	} {
		if step != nil {
			return complain(step)
		}
	}
	return 0
}

// showTree is the stage that prints a line for each entry of a tree.
func showTree() int {
	dir, err := userns.Passed("tree")
	if err == nil {
		err = os.Chdir(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	}
	if err == nil {
		err = filepath.Walk(".", func(name string, info os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			st := info.Sys().(*syscall.Stat_t)
			value := make([]byte, 10)
			line := fmt.Sprintf("%s %v %d:%d", name, info.Mode(), st.Uid, st.Gid)
			for _, attribute := range []string{opaqueAttribute, "user.note"} {
				if n, err := unix.Lgetxattr(name, attribute, value); err == nil {
					line += " " + string(value[:n])
				}
			}
			if info.Mode().IsRegular() {
				line += fmt.Sprintf(" %d bytes, %d names", st.Size, st.Nlink)
			}
			fmt.Println(line)
			return nil
		})
	}
	if err != nil {
		return complain(err)
	}
	return 0
}

// needSubordinateIDs skips what needs more than one id in U.
func needSubordinateIDs(t *testing.T) {
	t.Helper()
	mapping, err := userns.Current()
	must(t, err)
	if mapping.Single {
		t.Skip("owners other than root cannot be tested: no subordinate ids")
	}
}

// inTree runs one of the stages.
func inTree(t *testing.T, s *Store, stage, tree string) string {
	t.Helper()
	dir, err := os.OpenFile(tree, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	out, err := s.runStage([]string{stage}, 0, userns.File{Name: "tree", File: dir})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// someIDs leave out 0 of U and what is beyond 999.
func someIDs() *userns.Mapping {
	return &userns.Mapping{UIDs: []userns.IDMap{{Inside: 0, Outside: 1, Size: 1000}}, GIDs: []userns.IDMap{{Inside: 0, Outside: 101, Size: 1000}}}
}

func TestMapLayer(t *testing.T) {
	t.Parallel()
	needSubordinateIDs(t)
	s := newStore(t)
	id := Digest([]byte("a layer for other ids"))
	staged, err := s.StageLayer()
	if err != nil {
		t.Fatal(err)
	}
	inTree(t, s, fillStage, staged.path)
	if err := staged.Commit(&LayerInfo{DiffID: id}, Fleeting); err != nil {
		t.Fatal(err)
	}
	staged.Close()
	m := someIDs()
	// Several at once: one makes it, the others wait for it.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := s.MapLayer(t.Context(), id, m, nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := inTree(t, s, showStage, MappedTree(s.Root, id, MapName(m)))
	want := `. drwxr-xr-x 1:101
far -rwxr-xr-x 1:101 1 bytes, 1 names
fifo prw------- 1:101
folder dgrwxr-x--- 8:101 y
folder/small -rw-r----- 1:101 6 bytes, 2 names
gone Dc--------- 0:0
large -rw-r--r-- 1:101 kept 196609 bytes, 1 names
link Lrwxrwxrwx 8:108
set-id ugrwxr-xr-x 8:109 1 bytes, 1 names
twin -rw-r----- 1:101 6 bytes, 2 names
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// It goes with its layer.
	if _, err := s.Collect(time.Now()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(s.LayersPath()); err != nil || len(left) > 0 {
		t.Errorf("left in layers/: %v %v", left, err)
	}
}

func TestMapLayerThatIsNot(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.MapLayer(t.Context(), Digest([]byte("none")), someIDs(), nil, nil); !errors.Is(err, ErrNoLayer) {
		t.Error(err)
	}
}

// TestMapLayerGivenUp leaves nothing behind.
func TestMapLayerGivenUp(t *testing.T) {
	t.Parallel()
	needSubordinateIDs(t)
	s := newStore(t)
	id := Digest([]byte("a layer that nobody waits for"))
	staged, err := s.StageLayer()
	if err != nil {
		t.Fatal(err)
	}
	inTree(t, s, fillStage, staged.path)
	if err := staged.Commit(&LayerInfo{DiffID: id}, Fleeting); err != nil {
		t.Fatal(err)
	}
	staged.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.MapLayer(ctx, id, someIDs(), nil, nil); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	entries, err := os.ReadDir(s.LayersPath())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left in layers/: %s", e.Name())
		}
	}
}

func TestReserveIDs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var held []*Reservation
	for _, want := range []uint32{1, 101, 201} {
		r, err := s.ReserveIDs(100, 1, 400)
		if err != nil || r.Start != want {
			t.Fatalf("%+v %v, want %d", r, err, want)
		}
		held = append(held, r)
	}
	if _, err := s.ReserveIDs(100, 1, 400); err == nil {
		t.Error("more than there are")
	}
	held[1].Release()
	if r, err := s.ReserveIDs(101, 1, 1000); err != nil || r.Start != 301 {
		t.Errorf("a range that does not fit the gap: %+v %v", r, err)
	}
	r, err := s.ReserveIDs(100, 1, 400)
	if err != nil || r.Start != 101 {
		t.Errorf("a range that does: %+v %v", r, err)
	}
	runtime.KeepAlive(held) // a reservation is over when its file is closed, by the garbage collector as well
	// A record keeps them when the reservation is gone.
	r.Release()
	record := &Record{ID: NewID(), Name: "auto"}
	record.HostConfig.UsernsMode = "auto:size=100"
	record.HostConfig.IDMappings = &IDMappings{UIDMap: []string{"0:101:100"}, GIDMap: []string{"0:101:100"}}
	if _, err := s.Create(record, Fleeting, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if r, err := s.ReserveIDs(100, 1, 1000); err != nil || r.Start == 101 {
		t.Errorf("the ids of a container: %+v %v", r, err)
	}
}
