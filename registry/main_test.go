package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/skiff-containers/skiff/internal/fixture"
	"github.com/skiff-containers/skiff/store"
)

func TestMain(m *testing.M) {
	for _, stages := range []map[string]func() int{Stages(), store.Stages(), childStages()} {
		if stage, ok := stages[os.Args[0]]; ok {
			os.Exit(stage())
		}
	}
	code := m.Run()
	stopFixture()
	os.Exit(code)
}

// shared is the registry that all tests of this package pull from, with the images
// of the fixtures. It starts with the first test that wants it.
var shared struct {
	once     sync.Once
	registry *fixture.Registry
	folder   string
	err      error
}

func stopFixture() {
	if shared.registry != nil {
		shared.registry.Stop()
	}
	if shared.folder != "" {
		os.RemoveAll(shared.folder)
	}
}

// served returns the address of the shared registry.
func served(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.folder, shared.err = os.MkdirTemp("", "skiff-registry-"); shared.err != nil {
			return
		}
		if shared.registry, shared.err = fixture.Start(shared.folder, false); shared.err != nil {
			return
		}
		images, err := fixture.Images()
		if err == nil {
			err = shared.registry.Push(context.Background(), images)
		}
		shared.err = err
	})
	must(t, shared.err)
	return shared.registry.Addr
}

// newStore is a store that lasts as long as the test.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	base, err := os.MkdirTemp("", "skiff-pull-")
	must(t, err)
	s, err := store.Open(filepath.Join(base, "root"))
	must(t, err)
	t.Cleanup(func() {
		for _, folder := range []string{"layers", "tmp"} { // removal needs the rest
			must(t, s.RemoveTree(filepath.Join(s.Root, folder)))
		}
		must(t, os.RemoveAll(base))
	})
	return s
}

// events collects what a pull tells.
type events struct {
	sync.Mutex
	all []Event
}

func (e *events) Update(event Event) {
	e.Lock()
	defer e.Unlock()
	e.all = append(e.all, event)
}

// count tells how often a phase was told of a layer.
func (e *events) count(phase Phase) int {
	e.Lock()
	defer e.Unlock()
	n := 0
	for _, event := range e.all {
		if event.Phase == phase && event.ID != "" {
			n++
		}
	}
	return n
}

func (e *events) String() string {
	e.Lock()
	defer e.Unlock()
	text := ""
	for _, event := range e.all {
		text += fmt.Sprintf("%+v\n", event)
	}
	return text
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
