package escape

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// bundle is a container of skiff-runtime.
type bundle struct{ dir, id string }

// newBundle makes one whose first process attacks.
func newBundle(t *testing.T, verb ...string) *bundle {
	t.Helper()
	b := &bundle{dir: folder(t), id: fmt.Sprintf("b%d", containers.Add(1))}
	rootfs := filepath.Join(b.dir, "rootfs")
	for _, dir := range []string{"bin", "proc", "sys", "dev", "etc"} {
		if err := os.MkdirAll(filepath.Join(rootfs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	for target, source := range map[string]string{"bin/busybox": busybox, "tool": self} {
		if out, err := exec.Command("cp", source, filepath.Join(rootfs, target)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if o := b.runtime("spec", "--bundle", b.dir); o.code != 0 {
		t.Fatal(o.all)
	}
	b.configure(t, verb)
	return b
}

func (b *bundle) configure(t *testing.T, verb []string) {
	t.Helper()
	path := filepath.Join(b.dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	spec.Process.Terminal = false
	spec.Process.Args = append([]string{"/tool", attacker}, verb...)
	spec.Root.Readonly = false
	if data, err = json.Marshal(&spec); err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data), 0o644)
}

func (b *bundle) runtime(args ...string) outcome {
	return skiff(append([]string{"runtime", "--root", filepath.Join(b.dir, "state")}, args...)...)
}

// start runs it until the test ends, and returns what reads its output so far.
func (b *bundle) start(t *testing.T) (output func() string) {
	t.Helper()
	path := filepath.Join(b.dir, "output")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := command("runtime", "--root", filepath.Join(b.dir, "state"), "run", "--bundle", b.dir, b.id)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.runtime("delete", "--force", b.id)
		cmd.Wait()
	})
	output = func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	eventually(t, "the container's start", func() bool { return b.runtime("exec", b.id, "/bin/busybox", "true").code == 0 })
	return output
}
