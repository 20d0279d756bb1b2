package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A stage of skiff's that enters a container cannot be looked into from there, although
// it ends with just the attacker's ids and capabilities (CVE-2016-9962). It is given
// many folders to look for its program in, so that it stays for a while.
func TestStageOfExecCannotBeEntered(t *testing.T) {
	t.Parallel()
	name := background(t, nil, "stage")
	path := "PATH=" + strings.Repeat("/0:", 40000) + "/bin"
	met := func() bool { return strings.Contains(skiff("logs", name).all, "meeting") }
	for n, end := 0, time.Now().Add(patience); n < 20 || !met() && time.Now().Before(end); n++ {
		if o := skiff("exec", "-e", path, name, "true"); o.code != 0 {
			t.Fatal(o.all)
		}
	}
	found := findings(t, name)
	if strings.Contains(found, "met 0 ") {
		t.Fatal("no stage was met:", found)
	}
	if strings.Contains(found, "entered") {
		t.Error(found)
	}
}

// enterStage attacks whatever calls itself a stage of exec.
func enterStage([]string) error {
	runtime.LockOSThread() // tracing is a thread's
	met := 0
	for round := 0; !(round%64 == 0 && done()); round++ {
		pids, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range pids {
			if !isStage(dir) {
				continue
			}
			if met++; met == 1 {
				fmt.Println("meeting them")
			}
			enter(dir)
		}
	}
	fmt.Println("met", met, "times")
	return nil
}

func isStage(dir string) bool {
	comm, _ := os.ReadFile(dir + "/comm")
	return strings.HasPrefix(string(comm), "skiff-exec")
}

func enter(dir string) {
	// What was opened belongs to a stage if it is one afterwards, too.
	report := func(how string, err error) {
		if err == nil && isStage(dir) {
			fmt.Println("entered by", how)
		}
	}
	for _, name := range []string{"root", "cwd", "exe", "fd/0", "fd/3", "ns/user"} {
		_, err := os.Readlink(dir + "/" + name)
		report(name, err)
	}
	memory, err := os.OpenFile(dir+"/mem", os.O_RDWR, 0)
	report("its memory", err)
	memory.Close()
	var pid int
	fmt.Sscanf(dir, "/proc/%d", &pid)
	if err = unix.PtraceSeize(pid); err == nil {
		report("ptrace", nil)
		// Nobody but its tracer learns of the end of one that is traced.
		unix.PtraceInterrupt(pid)
		unix.Wait4(pid, nil, unix.WALL, nil)
		unix.PtraceDetach(pid)
	}
}
