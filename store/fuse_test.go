package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fuseStage is a process that mounts a stack at argv[1] by fuse-overlayfs, says so, and waits.
const fuseStage = "skiff-test-fuse"

func mountForEver() int {
	st := Stack{Driver: FuseOverlay, Store: os.Args[1], Dir: os.Args[1]}
	if _, err := st.Mount(); err != nil {
		return complain(err)
	}
	fmt.Println("mounted")
	unix.Pause()
	return 0
}

// The daemon would hold its owner's mount namespace for ever.
func TestFuseDaemonEndsWithItsOwner(t *testing.T) {
	if err := fuseUsable(); err != nil {
		t.Skip(err)
	}
	within(t, func(t *testing.T, root string) {
		for _, folder := range []string{"upper", "work", "merged"} {
			must(t, os.Mkdir(filepath.Join(root, folder), 0o755))
		}
		owner := child(fuseStage, root)
		out, err := owner.StdoutPipe()
		must(t, err)
		must(t, owner.Start())
		if _, err := io.ReadFull(out, make([]byte, len("mounted"))); err != nil {
			t.Fatal(err)
		}
		var daemons []int
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", owner.Process.Pid))
		must(t, err)
		for _, task := range tasks {
			list, err := os.ReadFile(task)
			must(t, err)
			for _, text := range strings.Fields(string(list)) {
				pid, err := strconv.Atoi(text)
				must(t, err)
				daemons = append(daemons, pid)
			}
		}
		if len(daemons) != 1 {
			t.Fatalf("the owner has the children %v", daemons)
		}
		fd, err := unix.PidfdOpen(daemons[0], 0)
		must(t, err)
		defer unix.Close(fd)
		must(t, owner.Process.Kill())
		owner.Wait()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10000)
		if n != 1 && !errors.Is(err, unix.EINTR) {
			t.Errorf("fuse-overlayfs outlives its owner (%d, %v)", n, err)
		}
		must(t, unix.Unmount(filepath.Join(root, "merged"), unix.MNT_DETACH))
	})
}
