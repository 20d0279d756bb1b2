package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLingering(t *testing.T) {
	root := t.TempDir()
	check := func(want bool) {
		t.Helper()
		if got := logsOutWhole(root, "someone"); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	mkdir := func(path string) {
		if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	check(false)               // no systemd-logind
	mkdir("run/systemd/seats") // elogind, or a container with a part of the host's /run
	check(false)
	mkdir("run/systemd/system")
	check(true)
	mkdir("var/lib/systemd/linger/another")
	check(true)
	mkdir("var/lib/systemd/linger/someone")
	check(false)
}

func TestLingeringIsToldOnce(t *testing.T) {
	runtime := t.TempDir()
	if !markTold(runtime) || markTold(runtime) {
		t.Error("not told exactly once")
	}
	if markTold(filepath.Join(runtime, "gone")) {
		t.Error("told where no mark can be kept")
	}
}
