package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// insideVariable is set in a test binary that runs as root of the user namespace, in
// a mount namespace of its own: to a folder for the one test that it runs.
const insideVariable = "SKIFF_TEST_INSIDE"

// childStages are what tests run in processes of their own.
func childStages() map[string]func() int {
	return map[string]func() int{churnStage: churn, shimStage: shim, holdStage: hold, createStage: createOne, renameStage: renames, fuseStage: mountForEver,
		fillStage: fillTree, showStage: showTree}
}

func TestMain(m *testing.M) {
	if stage, ok := Stages()[os.Args[0]]; ok {
		os.Exit(stage())
	}
	if stage, ok := childStages()[os.Args[0]]; ok {
		os.Exit(stage())
	}
	if os.Getenv(insideVariable) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
			os.Exit(complain(err))
		}
	}
	os.Exit(m.Run())
}

// within runs the body of the calling test as root of the user namespace: the test
// binary is started there again for this test alone. Root is a fresh folder.
func within(t *testing.T, body func(t *testing.T, root string)) {
	t.Helper()
	withinStore(t, newStore(t), body)
}

// withinStore is within that uses s's namespace and, for root, its tmp/.
func withinStore(t *testing.T, s *Store, body func(t *testing.T, root string)) {
	t.Helper()
	if root := os.Getenv(insideVariable); root != "" {
		body(t, root)
		return
	}
	out, err := os.Create(filepath.Join(s.Root, "out"))
	must(t, err)
	defer out.Close()
	process, _, err := s.Enter(&userns.Command{
		Path:   "/proc/self/exe",
		Args:   []string{"inside", "-test.v", "-test.timeout=120s", "-test.run=^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"},
		Env:    append(os.Environ(), insideVariable+"="+s.path("tmp")),
		Stdout: out, Stderr: out,
	}, unix.CLONE_NEWNS, "stage-test")
	must(t, err)
	defer s.Leave("stage-test")
	status, err := process.Wait()
	must(t, err)
	text, err := os.ReadFile(out.Name())
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "cannot be tested") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if status.ExitStatus() != 0 || !strings.Contains(string(text), "--- ") {
		t.Errorf("inside the user namespace, exit status %d:\n%s", status.ExitStatus(), text)
	}
}

// needOwners skips what needs ids beyond root in the user namespace.
func needOwners(t *testing.T) {
	t.Helper()
	mapping, err := userns.Of(os.Getpid())
	must(t, err)
	if !userns.Has(mapping.UIDs, 1000) {
		t.Skip("owners other than root cannot be tested: no subordinate ids")
	}
}

// newStore is a store that lasts as long as the test.
func newStore(t *testing.T) *Store {
	t.Helper()
	base, err := os.MkdirTemp("", "skiff-store-")
	must(t, err)
	s, err := Open(filepath.Join(base, "root"))
	must(t, err)
	t.Cleanup(func() {
		for _, folder := range []string{"containers", "layers", "tmp"} { // removal needs the rest
			must(t, s.RemoveTree(s.path(folder)))
		}
		must(t, os.RemoveAll(base))
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
