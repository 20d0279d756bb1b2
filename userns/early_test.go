package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// earlyStage waits for its ids and then prints a report of itself.
const earlyStage = "test-early"

func reportEarly() int {
	if AwaitMapping() != nil {
		return 125
	}
	return printReport()
}

// A process that was executed before its ids were mapped is root afterwards, as if it
// had waited, and passes nothing on that root would not.
func TestEarly(t *testing.T) {
	c := inU(t)
	c.Early, c.Args = true, []string{earlyStage}
	r := ask(t, c)
	if r.UID != 0 || r.GID != 0 {
		t.Errorf("the process is %d:%d, want root", r.UID, r.GID)
	}
	for set, want := range map[string]string{"CapEff": "f", "CapPrm": "f", "CapInh": "", "CapAmb": ""} {
		have := strings.TrimLeft(r.Status[set], "0")
		if want == "" && have != "" || want != "" && !strings.HasSuffix(have, want) {
			t.Errorf("%s is %s", set, r.Status[set])
		}
	}
}

// It shares its starter's memory until it is executed, and does the starter no harm by that.
func TestEarlySharesMemory(t *testing.T) {
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	must(t, err)
	c := inU(t)
	c.Path, c.Args = "/proc/self/exe", []string{earlyStage}
	p := plan{cloneFlags: c.Create, early: true, join: -1, group: -1, programFile: -1}
	var own descriptors
	gate, err := own.gate(&p)
	must(t, err)
	must(t, c.lay(&p, &own))
	report, err := own.pipe(&p.report)
	must(t, err)
	defer report.Close()
	syscall.ForkLock.Lock()
	pid, errno := fork(&p)
	syscall.ForkLock.Unlock()
	if errno != 0 {
		t.Fatal(errno)
	}
	if p.capData[0].Permitted == 0 {
		t.Error("the child has written to a memory of its own")
	}
	own.close()
	gate.Close() // it gives up
	process := &Process{PID: int(pid)}
	must(t, process.executed(report))
	if status, err := process.Wait(); err != nil || status.ExitStatus() != 125 {
		t.Errorf("the program ended with %v, %v", status, err)
	}
	if now, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || now != before {
		t.Errorf("the starter's memory was dumpable (%d), and is so no longer (%d, %v)", before, now, err)
	}
}

// settleStage may not be looked into by its owner, until it reads something; it ends with stdin.
const settleStage = "test-settle"

func settleLate() int {
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	os.Stdout.WriteString("x")
	os.Stdin.Read(make([]byte, 1))
	unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	os.Stdin.Read(make([]byte, 1))
	return 0
}

// It is mapped when its program is in place, and not while it is being executed, when
// only root may do so.
func TestEarlySettles(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may always")
	}
	child := exec.Command("/proc/self/exe")
	child.Args[0] = settleStage
	in, err := child.StdinPipe()
	must(t, err)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer child.Wait()
	defer in.Close()
	_, err = io.ReadFull(out, make([]byte, 1))
	must(t, err)
	report, executed, err := os.Pipe()
	must(t, err)
	defer report.Close()
	executed.Close()
	go in.Write([]byte("x"))
	(&Starting{process: &Process{PID: child.Process.Pid}, report: report}).settle()
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/uid_map", child.Process.Pid), &st); err != nil || int(st.Uid) != os.Geteuid() {
		t.Errorf("the ids of the process are those of user %d (%v)", st.Uid, err)
	}
}

// It ends when its starter does, or gives up.
func TestEarlyEndsWithoutMapping(t *testing.T) {
	c := inU(t)
	c.Early, c.Path, c.Args, c.Mapping = true, "/proc/self/exe", []string{earlyStage}, &Mapping{Single: true} // the kernel refuses an empty one
	if _, err := c.Start(); err == nil {
		t.Error("a process without mappings was started")
	}
	noChild(t)
}

// What went wrong first is told: not that a process cannot be mapped which has ended.
func TestEarlyStartErrors(t *testing.T) {
	c := inU(t)
	c.Early, c.Path, c.Args = true, "/nowhere", []string{"x"}
	var start *StartError
	if _, err := c.Start(); !errors.As(err, &start) || start.Errno != unix.ENOENT {
		t.Errorf("got %v, want %v", err, unix.ENOENT)
	}
	noChild(t)
}

// A program that somebody has open for writing is waited for, and not for ever.
func TestBusyProgram(t *testing.T) {
	data, err := os.ReadFile("/bin/true")
	must(t, err)
	path := filepath.Join(t.TempDir(), "program")
	must(t, writeProgram(path, data))
	// Not this process: its children have its descriptors up to their exec.
	writer := exec.Command("/bin/sh", "-c", `exec 3>>"$0"; echo ready; read end`, path)
	stdin, err := writer.StdinPipe()
	must(t, err)
	stdout, err := writer.StdoutPipe()
	must(t, err)
	must(t, writer.Start())
	t.Cleanup(func() { stdin.Close(); writer.Wait() })
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	c := Command{Path: path, Args: []string{"x"}}
	if _, err := c.Start(); !errors.Is(err, unix.ETXTBSY) {
		t.Errorf("got %v, want %v", err, unix.ETXTBSY)
	}
	starting, err := c.Begin()
	must(t, err)
	awaitSleep(t, starting.PID())
	_, err = stdin.Write([]byte("\n"))
	must(t, err)
	process, err := starting.Finish()
	must(t, err)
	if status, err := process.Wait(); err != nil || status != 0 {
		t.Errorf("the program ended with %v, %v", status, err)
	}
}

// awaitSleep returns when a process sleeps in nanosleep(2), or has ended.
func awaitSleep(t *testing.T, pid int) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(100 * time.Microsecond) {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if err != nil || strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_NANOSLEEP, " ")) {
			return
		}
	}
	t.Error("the child does not wait for its program")
}
