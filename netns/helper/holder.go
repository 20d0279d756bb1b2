package helper

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// holderStage is argv[0] of the holder.
const holderStage = "skiff-network-holder"

// startHolder starts a child in U, in a new network namespace: N, where no shim
// holds one already. Root's helper is not in U itself, as it could not listen on
// ports below 1024 from there; N must belong to U all the same, for shims to enter it.
func (h *helper) startHolder() (*userns.Process, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("starting the holder of the networks' namespace: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[0]), "held")
	defer theirs.Close()
	h.held = os.NewFile(uintptr(ends[1]), "held")
	process, _, err := h.store.Enter(&userns.Command{
		Path: "/proc/self/exe", Args: []string{holderStage}, Env: []string{"GOMAXPROCS=1"}, Stdin: theirs, Session: true,
	}, unix.CLONE_NEWNET, client.Who)
	if err != nil {
		return nil, fmt.Errorf("starting the holder of the networks' namespace: %w", err)
	}
	return process, nil
}

// hold is the stage "skiff-network-holder": root of U, in N and the host's other
// namespaces. It does nothing until the helper has ended, and nothing comes next.
func hold() int {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	io.Copy(io.Discard, os.Stdin) // to the end of the pipe, which comes with the helper's
	return 0
}
