package oci

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// compileTimeOffsets writes a spec's offsets as /proc/PID/timens_offsets takes them
// (time_namespaces(7)).
func compileTimeOffsets(wanted map[string]specs.LinuxTimeOffset, created uintptr) (string, error) {
	if len(wanted) == 0 {
		return "", nil
	}
	if created&unix.CLONE_NEWTIME == 0 {
		return "", hinted("add a namespace of type time, without a path", "the container's config has time offsets and no new time namespace")
	}
	var lines []string
	for clock, o := range wanted {
		if clock != "monotonic" && clock != "boottime" {
			return "", hinted("they are monotonic and boottime", "clock %q has no offset", clock)
		}
		lines = append(lines, fmt.Sprintf("%s %d %d\n", clock, o.Secs, o.Nanosecs))
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), nil
}

// setTimeOffsets is for the time namespace that this thread has made and will be in
// after exec (Linux 6.1; before, only its children would).
func setTimeOffsets(lines string) error {
	if lines == "" {
		return nil
	}
	self, err := os.Readlink("/proc/thread-self") // PID/task/TID, as the host's /proc counts
	if err == nil {
		// The file exists for processes only, of which any thread is one by its number.
		err = os.WriteFile("/proc/"+path.Base(self)+"/timens_offsets", []byte(lines), 0)
	}
	if err != nil {
		return fmt.Errorf("setting the offsets of clocks: %w", err)
	}
	return nil
}
