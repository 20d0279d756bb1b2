package conmon

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// keptGroup are the limits of a cgroup that another program is about to delete.
type keptGroup struct {
	folder string
	files  map[string][]byte
}

// keepGroup reads what is set in a cgroup, by whatever files this kernel has.
func keepGroup(folder string) *keptGroup {
	k := &keptGroup{folder: folder, files: map[string][]byte{}}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return k
	}
	for _, e := range entries {
		name := e.Name()
		info, err := e.Info()
		// cpu.weight.nice is cpu.weight in coarser steps.
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o600 != 0o600 ||
			strings.HasPrefix(name, "cgroup.") || strings.HasSuffix(name, ".pressure") || name == "cpu.weight.nice" {
			continue
		}
		if data, err := os.ReadFile(filepath.Join(folder, name)); err == nil {
			k.files[name] = data
		}
	}
	return k
}

// restore makes the cgroup again, where it is gone, with its limits. A line is written
// at a time, as the kernel takes one device at a time (cgroup-v2.rst, io.max).
func (k *keptGroup) restore() {
	if k == nil || unix.Mkdir(k.folder, 0o755) != nil {
		return
	}
	for name, data := range k.files {
		if have, err := os.ReadFile(filepath.Join(k.folder, name)); err != nil || bytes.Equal(have, data) {
			continue
		}
		for line := range strings.Lines(string(data)) {
			writeGroup(k.folder, name, strings.TrimSpace(line))
		}
	}
}
