package ociruntime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A folder of containers in which somebody else can lay one is not looked into: the
// hooks of that one would be the caller's doing.
func TestContainersOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		above, root os.FileMode
		refused     bool
	}{
		{"one's own", 0o755, 0o711, false},
		{"in a folder for all", 0o777 | os.ModeSticky, 0o711, false},
		{"others write to it", 0o755, 0o777, true},
		{"a group writes to it", 0o755, 0o770, true},
		{"others can put another in its place", 0o777, 0o711, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			above := t.TempDir()
			r := &Runtime{Root: filepath.Join(above, "runtime")}
			hooked := filepath.Join(above, "hooked")
			must(t, os.MkdirAll(filepath.Join(r.Root, "box"), 0o755))
			must(t, os.WriteFile(filepath.Join(r.Root, "box", fileState), []byte(`{"id":"box","bundle":"/"}`), 0o644))
			must(t, os.WriteFile(filepath.Join(r.Root, "box", fileConfig),
				[]byte(`{"linux":{},"hooks":{"poststop":[{"path":"/bin/sh","args":["sh","-c","cat >`+hooked+`"]}]}}`), 0o644))
			must(t, os.Chmod(r.Root, test.root))
			must(t, os.Chmod(above, test.above))
			for what, do := range map[string]func() error{
				"list":   func() error { _, err := r.List(); return err },
				"open":   func() error { _, err := r.Open("box"); return err },
				"create": func() error { unlock, err := r.reserve("new"); closeIf(unlock); return err },
			} {
				if err := do(); (err != nil) != test.refused {
					t.Errorf("%s: %v", what, err)
				}
			}
			err := r.Delete("box", false)
			if test.refused && (err == nil || !strings.Contains(err.Error(), "not kept in")) || !test.refused && err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := os.Stat(hooked); (err == nil) == test.refused {
				t.Errorf("the hook: %v", err)
			}
		})
	}
}

// Root, too, keeps its containers where nobody else can lay any.
func TestContainersOfAnotherUserAreRefused(t *testing.T) {
	t.Parallel()
	if !InitialRoot() {
		t.Skip("only root can give folders away")
	}
	above := t.TempDir()
	r := &Runtime{Root: filepath.Join(above, "runtime")}
	must(t, os.Mkdir(r.Root, 0o711))
	for _, given := range []string{r.Root, above} {
		must(t, os.Chown(given, 65534, 65534))
		if _, err := r.List(); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("%s: %v", given, err)
		}
		must(t, os.Chown(given, 0, 0))
	}
}

func closeIf(unlock func()) {
	if unlock != nil {
		unlock()
	}
}

// The config of a bundle is a file: neither a device without an end nor a pipe that
// nobody writes to is waited for.
func TestConfigThatIsNoFile(t *testing.T) {
	t.Parallel()
	bundle := t.TempDir()
	config := filepath.Join(bundle, "config.json")
	for name, lay := range map[string]func() error{
		"a pipe":   func() error { return unix.Mkfifo(config, 0o600) },
		"a device": func() error { return os.Symlink("/dev/zero", config) },
		"a folder": func() error { return os.Mkdir(config, 0o700) },
	} {
		must(t, lay())
		if _, err := LoadBundle(bundle); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
			t.Errorf("%s: %v", name, err)
		}
		must(t, os.Remove(config))
	}
}
