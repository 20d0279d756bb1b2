package escape

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Nothing of the kernel's can be opened for writing: where root starts containers,
// most files of /proc and /sys are their root's by the owner's rights, and only the
// mounts are in between.
func TestKernelFilesCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, options := range [][]string{nil, {"--init"}, {"--network", "host"}, {"--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host"}} {
		if found := attacked(t, options, "writable"); found != "" {
			t.Errorf("%q: open for writing:\n%s", options, found)
		}
	}
	name := background(t, nil, "sleep")
	if o := skiff("exec", name, "/tool", attacker, "writable"); o.all != "" {
		t.Error("exec: open for writing:", o.all)
	}
	// The attack itself works.
	if found := attacked(t, []string{"--security-opt", "systempaths=unconfined"}, "writable"); !strings.Contains(found, "/proc/sys/") {
		t.Errorf("unconfined: %q", found)
	}
}

// process is what only concerns the one who asks: beneath /proc/PID, and /proc/self.
var process = regexp.MustCompile(`^/proc/([0-9]+|self|thread-self|net|mounts)$`)

// harmless may be opened by everybody, and tells the kernel to watch something for the
// one who has it open.
var harmless = regexp.MustCompile(`^/proc/pressure/`)

func writable([]string) error {
	for _, top := range []string{"/proc", "/sys"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if process.MatchString(path) {
				return skipped(d)
			}
			// The capability for all of root's files opens what takes no word, too.
			info, err := d.Info()
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o222 == 0 || harmless.MatchString(path) {
				return nil
			}
			if f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.Close()
				fmt.Println(path)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func skipped(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// What tells of the host's memory, keys and timers is empty.
func TestKernelFilesThatTellTooMuchAreEmpty(t *testing.T) {
	t.Parallel()
	if found := attacked(t, nil, "readable"); found != "" {
		t.Error(found)
	}
	if found := attacked(t, []string{"--security-opt", "unmask=ALL"}, "readable"); !strings.Contains(found, "/proc/keys") && !strings.Contains(found, "/proc/interrupts") {
		t.Errorf("unmasked: %q", found)
	}
}

func readable([]string) error {
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/interrupts", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
		"/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"} {
		entries, err := os.ReadDir(path)
		if err == nil && len(entries) > 0 {
			fmt.Println(path, "has entries")
		}
		if errors.Is(err, unix.ENOTDIR) {
			if f, err := os.Open(path); err == nil {
				if n, _ := io.ReadFull(f, make([]byte, 1)); n > 0 {
					fmt.Println(path, "has content")
				}
				f.Close()
			}
		}
	}
	return nil
}

// Kernel parameters are those of the container's own namespaces, whatever they are
// called and whatever their values hold (CVE-2022-0811). The host's value is what it
// is set to: nothing changes even where the defence is gone.
func TestParametersOfTheHostAreRefused(t *testing.T) {
	t.Parallel()
	pattern := hostFile(t, "/proc/sys/kernel/core_pattern")
	for _, name := range []string{"kernel.core_pattern", "kernel/core_pattern", "net.ipv4.../../kernel/core_pattern", "net/../kernel/core_pattern",
		"fs.mqueue/../../kernel/core_pattern", "net/ipv4/../../kernel/core_pattern", "../sys/kernel/core_pattern", "/proc/sys/kernel/core_pattern", "kernel.core_pattern+kernel.shm_rmid_forced"} {
		for _, options := range [][]string{nil, {"--privileged"}} {
			o := skiff(inside(append(slices.Clone(options), "--sysctl", name+"="+pattern), "readable")...)
			if o.code != 125 {
				t.Errorf("%s %q: exit code %d: %s", name, options, o.code, o.all)
			}
		}
	}
	if o := skiff(inside([]string{"--sysctl", "kernel.shm_rmid_forced=1+kernel.core_pattern=" + pattern}, "readable")...); o.code != 125 {
		t.Errorf("two in one: exit code %d: %s", o.code, o.all)
	}
	if now := hostFile(t, "/proc/sys/kernel/core_pattern"); now != pattern {
		t.Errorf("the host's core pattern is %q", now)
	}
}

func hostFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
