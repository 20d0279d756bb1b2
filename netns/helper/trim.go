package helper

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// trimAfter is when the helper's start, and that of the container it was started for,
// are over.
const trimAfter = 2 * time.Second

// trim lets go of the program's own pages. The start has run through much of it that is
// not needed again; what is comes back from the page cache, where it stays.
func trim() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("reading the memory map: %w", err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var may string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &may); err != nil {
			return fmt.Errorf("reading the memory map: %w", err)
		}
		if strings.Contains(may, "w") || !strings.HasSuffix(lines.Text(), " "+program) {
			continue // what was written would be lost
		}
		// madvise(2): of a file's private mapping, the next access reads the file.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("letting go of %d KB of the program: %w", (to-from)>>10, errno)
		}
	}
	return nil
}
