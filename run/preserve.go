package run

import (
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// maxPreserved bounds --preserve-fds: as many descriptors go into one message to the shim.
const maxPreserved = 50

// preserved are the descriptors from 3 on that the caller of skiff has left open for the
// container's process. Skiff's own are close-on-exec, so that none of them is taken for
// one of the caller's.
func preserved(n uint) ([]*os.File, error) {
	if n > maxPreserved {
		return nil, fmt.Errorf("passing %d file descriptors: %d at most", n, maxPreserved)
	}
	var all []*os.File
	for fd := 3; fd < 3+int(n); fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			return nil, &userns.HostError{
				What: fmt.Sprintf("file descriptor %d is not available, --preserve-fds=%d wants those from 3 to %d", fd, n, 2+n),
				Hint: "open them in the shell: skiff exec --preserve-fds 1 … 3<file",
			}
		}
		all = append(all, os.NewFile(uintptr(fd), "preserved"))
	}
	return all, nil
}
