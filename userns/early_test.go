package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(100 * time.Microsecond) {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if err != nil || strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_NANOSLEEP, " ")) {
			return
		}
	}
	t.Error("the child does not wait for its program")
}
