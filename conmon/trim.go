package conmon

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// trimAfter is when a life has outlasted its start: what ends before never pays for it.
const trimAfter = time.Second

// trim gives back what only the start has needed, as one of this process stays for
// every container: the garbage, and the pages of the program, which come back from the
// page cache when they are needed again. A failure costs memory and nothing else.
func trim() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		from, to, ok := programPages(line)
		if ok { // madvise(2): of a private mapping of a file, the next access reads the file
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}

// programPages reads a line of proc_pid_maps(5); ok tells that it is of a file's pages that
// cannot have been written to.
func programPages(line string) (from, to uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 || strings.Contains(fields[1], "w") || fields[4] == "0" {
		return 0, 0, false
	}
	first, last, _ := strings.Cut(fields[0], "-")
	begin, err1 := strconv.ParseUint(first, 16, 64)
	end, err2 := strconv.ParseUint(last, 16, 64)
	return uintptr(begin), uintptr(end), err1 == nil && err2 == nil
}
