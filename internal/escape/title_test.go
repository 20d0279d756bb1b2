package escape

import (
	"os"
	"strings"
	"testing"
)

// A process is not overlooked for the name that it has given itself, be it that of what serves
// root file systems.
func TestNameHidesNoProcess(t *testing.T) {
	t.Parallel()
	name := background(t, nil, "title", "fuse-overlayfs")
	eventually(t, "its name", func() bool { return skiff("exec", name, "cat", "/proc/1/comm").out == "fuse-overlayfs" })
	if out := must(t, "top", name, "pid", "comm"); !strings.Contains(out, "fuse-overlayfs") {
		t.Errorf("top shows %q", out)
	}
	if out := must(t, "stats", "--no-stream", "--format", "{{.PIDs}}", name); out == "0" {
		t.Error("stats counts no process")
	}
}

// setTitle changes what the kernel calls this process.
func setTitle(args []string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(args[0]), 0); err != nil {
		return err
	}
	waitDone()
	return nil
}
