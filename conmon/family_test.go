package conmon

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that has been reaped may have left its number to another one of the
// container, whose children are not its family.
func TestNumberOfAnEndedProcessHasNoFamily(t *testing.T) {
	t.Parallel()
	other := exec.Command("/bin/sh", "-c", "sleep 1000 & echo $!; wait")
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(bufio.NewReader(out), &child); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer unix.Kill(child, unix.SIGKILL) // the shell waits for it
	for _, reaped := range []bool{true, false} {
		s := &shim{}
		if !reaped {
			s.children.known = map[int]chan unix.WaitStatus{other.Process.Pid: nil}
		}
		family := s.familyOf(&running{pid: other.Process.Pid})
		for _, p := range family {
			unix.Close(p.pidfd)
		}
		if found := len(family) == 1 && family[0].pid == child; found == reaped {
			t.Errorf("reaped: %v, the family: %+v", reaped, family)
		}
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", child)); err != nil {
		t.Error(err)
	}
}
