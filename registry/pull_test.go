package registry

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

func TestPull(t *testing.T) {
	t.Parallel()
	layers := map[string]int{"busybox": 1, "oci": 1, "zstd": 1, "plain": 1, "layers": 5, "many": 60, "twice": 3, "whiteouts": 4, "users": 2, "multi": 2, "scratch": 1}
	for name, count := range layers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ref := served(t) + "/" + name
			img, told, err := pull(t, s, ref)
			if err != nil {
				t.Fatalf("%v\n%v", err, told)
			}
			// Where a layer has tmp/x without tmp/, a fix-up layer comes on top.
			if len(img.DiffIDs) < count || len(img.Layers) < count || len(img.Layers) > count+1 || img.Platform != hostPlatform().String() || img.Size == 0 {
				t.Errorf("%d layers, platform %s, size %d", len(img.Layers), img.Platform, img.Size)
			}
			if told.count(Complete) != count {
				t.Errorf("%d layers were completed, not %d: %v", told.count(Complete), count, told)
			}
			found, refFound, err := Find(s, ref)
			must(t, err)
			if found.Manifest != img.Manifest || refFound.Familiar() != ref+":latest" {
				t.Errorf("found %s as %s", found.Manifest, refFound)
			}
			for _, text := range []string{img.ID, img.ID[7:], img.ID[7:19], served(t) + "/" + name + "@" + img.Digest} {
				if found, _, err := Find(s, text); err != nil || found.ID != img.ID {
					t.Errorf("finding %q: %v", text, err)
				}
			}
			again, told, err := pull(t, s, ref)
			must(t, err)
			if again.Manifest != img.Manifest || told.count(Complete) != 0 || told.count(Exists) != count {
				t.Errorf("pulled again: %v", told)
			}
			checkClean(t, s)
			removed, err := s.RemoveImage(img, false)
			must(t, err)
			if len(removed.Refs) != 1 || len(removed.Digests) != 1+len(img.Layers) {
				t.Errorf("removed %+v", removed)
			}
			empty(t, s)
		})
	}
}

func TestPullByDigest(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	d := f.add(t, "v1", layer{tar: files(t, "a", "1")})
	ref := f.name("team/x") + ":v1@" + d.Digest
	img, _, err := pull(t, s, ref)
	must(t, err)
	if img.Refs[0].Tag != "" || img.Refs[0].Digest != d.Digest {
		t.Errorf("it is called %v", img.Refs)
	}
	if _, _, err := Find(s, f.name("team/x")+":v1"); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("a tag beside a digest became a name: %v", err)
	}
	if _, _, err := Find(s, ref); err != nil {
		t.Error(err)
	}
	if _, _, err := pull(t, s, f.name("team/x")+"@"+store.Digest([]byte("x"))); !errors.Is(err, ErrNoSuchImage) {
		t.Errorf("a digest that is not there: %v", err)
	}
}

// Two who pull the same do the work once, also as two processes.
func TestPullTogether(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	one, two := files(t, "a", noise(100_000)), files(t, "b", noise(200_000))
	f.add(t, "latest", layer{tar: one}, layer{tar: two})
	const goroutines, processes = 3, 2
	// No layer is served before somebody waits for one that another downloads: each
	// pull tells Waiting once for each layer anyway, when it begins.
	waiting := make(chan struct{})
	var told atomic.Int32
	count := &watcher{on: func(e Event) {
		if e.Phase == Waiting && e.ID != "" && told.Add(1) == goroutines*2+1 {
			close(waiting)
		}
	}}
	layers := []string{store.Digest(compress(t, one)), store.Digest(compress(t, two))}
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if slices.Contains(layers, filepath.Base(r.URL.Path)) {
			<-waiting
		}
		return false
	}
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			_, err := Pull(context.Background(), s, PullOptions{Reference: f.name("x"), TLSVerify: true, Progress: count})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range processes {
		wait.Go(func() {
			p := startPull(t, s, f.name("x"))
			state, err := p.Wait()
			if err != nil || !state.Success() {
				t.Errorf("pulling in a process: %v %v", state, err)
			}
		})
	}
	wait.Wait()
	for _, digest := range layers {
		if n := f.asked("blobs/" + digest); n != 1 {
			t.Errorf("a layer was downloaded %d times", n)
		}
	}
	checkClean(t, s)
}

// watcher calls a function for each event.
type watcher struct{ on func(Event) }

func (w *watcher) Update(e Event) { w.on(e) }

// pullStage is this test program as a process that pulls argv[2] into the store argv[1].
const pullStage = "skiff-test-pull"

func childStages() map[string]func() int {
	return map[string]func() int{pullStage: func() int {
		s, err := store.Open(os.Args[1])
		if err == nil {
			_, err = Pull(context.Background(), s, PullOptions{Reference: os.Args[2], TLSVerify: true})
		}
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
		return 0
	}}
}

func startPull(t *testing.T, s *store.Store, ref string) *os.Process {
	t.Helper()
	p, err := os.StartProcess("/proc/self/exe", []string{pullStage, s.Root, ref}, &os.ProcAttr{Files: []*os.File{nil, nil, os.Stderr}})
	must(t, err)
	return p
}

// Killed at any moment, a pull leaves a store in which the next one works, and
// after which nothing is left.
func TestKilledPull(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	archive := files(t, "a/", "", "a/b", noise(400_000), "c/d/e", noise(1000), "f", noise(300_000))
	f.add(t, "latest", layer{tar: archive}, layer{tar: files(t, "x/y", "1")})
	blob := store.Digest(compress(t, archive))
	// The registry stops after so many bytes and waits until the puller is dead.
	for _, stop := range []int{0, 1, 65_536, 200_000, 500_000, len(f.blobs[blob]) - 1} {
		s := newStore(t)
		reached := make(chan struct{}, 8)
		f.Lock()
		f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if !strings.HasSuffix(r.URL.Path, blob) {
				return false
			}
			w.Header().Set("Content-Length", "700000")
			w.Write(f.blobs[blob][:stop])
			w.(http.Flusher).Flush()
			reached <- struct{}{}
			<-r.Context().Done()
			return true
		}
		f.Unlock()
		p := startPull(t, s, f.name("x"))
		<-reached
		must(t, p.Signal(syscall.SIGKILL))
		_, err := p.Wait()
		must(t, err)
		f.Lock()
		f.fault = nil
		f.Unlock()
		awaitStages(t, s)
		must(t, s.Sweep())
		img, told, err := pull(t, s, f.name("x"))
		if err != nil {
			t.Fatalf("after a kill at byte %d: %v\n%v", stop, err, told)
		}
		must(t, s.Sweep())
		checkClean(t, s)
		data, err := os.ReadFile(filepath.Join(s.LayerPath(store.Digest(archive)), "a/b"))
		must(t, err)
		if string(data) != noise(400_000) || len(img.Layers) != 2 {
			t.Errorf("after a kill at byte %d the image is wrong", stop)
		}
	}
}

// awaitStages waits for the ends of the stages that a killed pull has left: they
// notice it by the end of their input.
func awaitStages(t *testing.T, s *store.Store) {
	t.Helper()
	live, err := s.Live()
	must(t, err)
	for _, id := range live {
		pidfd, err := id.Open()
		must(t, err)
		if pidfd == nil {
			continue
		}
		for {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		must(t, err)
		pidfd.Close()
		for !errors.Is(unix.Kill(id.PID, 0), unix.ESRCH) { // until its new parent has reaped it
			time.Sleep(time.Millisecond)
		}
	}
}

func TestCancelledPull(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	archive := files(t, "a", noise(500_000))
	f.add(t, "latest", layer{tar: archive})
	blob := store.Digest(compress(t, archive))
	ctx, cancel := context.WithCancel(context.Background())
	f.fault = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if !strings.HasSuffix(r.URL.Path, blob) || attempt > 1 {
			return false
		}
		w.Header().Set("Content-Length", "500000")
		w.Write(f.blobs[blob][:200_000])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
		return true
	}
	if _, err := Pull(ctx, s, PullOptions{Reference: f.name("x"), TLSVerify: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, name := range leftovers(t, s) {
		if !strings.HasSuffix(name, ".partial") {
			t.Errorf("left behind: %s", name)
		}
	}
	_, _, err := pull(t, s, f.name("x"))
	must(t, err)
	checkClean(t, s)
}

// A layer that has tmp/x without tmp/ does not change the mode of /tmp.
func TestFixUp(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	base := files(t, "./", "755", "tmp/", "1777", "var/", "755", "var/spool/", "2750", "var/spool/x", "1", "gone/", "700", "late/", "711")
	above := files(t, "tmp/file", "1", "var/spool/deep/file", "2", ".wh.gone", "", "late/x", "1")
	again := files(t, "gone/x", "1", "tmp/file2", "2")
	f.add(t, "latest", layer{tar: base}, layer{tar: above}, layer{tar: again}, layer{tar: files(t, "late/", "500")})
	img, _, err := pull(t, s, f.name("x"))
	must(t, err)
	if len(img.Layers) != 5 || len(img.DiffIDs) != 4 {
		t.Fatalf("%d layers of %d", len(img.Layers), len(img.DiffIDs))
	}
	fixUp := s.LayerPath(img.Layers[4])
	want := map[string]os.FileMode{"tmp": os.ModeDir | os.ModeSticky | 0o777, "var": os.ModeDir | 0o755, "var/spool": os.ModeDir | os.ModeSetgid | 0o750}
	must(t, filepath.WalkDir(fixUp, func(path string, e os.DirEntry, err error) error {
		must(t, err)
		name := strings.TrimPrefix(strings.TrimPrefix(path, fixUp), "/")
		st, err := os.Lstat(path)
		must(t, err)
		if mode, ok := want[name]; name != "" && (!ok || st.Mode() != mode) {
			t.Errorf("%q has mode %v, not %v", name, st.Mode(), mode)
		}
		delete(want, name)
		return nil
	}))
	if len(want) > 0 {
		t.Errorf("missing are %v", want)
	}
	_, told, err := pull(t, s, f.name("x"))
	must(t, err)
	if told.count(Complete) > 0 {
		t.Errorf("pulled again: %v", told)
	}
	_, err = s.RemoveImage(img, false)
	must(t, err)
	empty(t, s)
}

// Only the topmost of equal layers counts, so that no directory is stacked twice.
func TestTopmost(t *testing.T) {
	t.Parallel()
	if have := strings.Join(topmost([]string{"a", "b", "a", "c", "b"}), ""); have != "acb" {
		t.Errorf("%s", have)
	}
}
