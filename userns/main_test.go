package userns

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The processes of these tests, by argv[0].
const (
	reportStage = "test-report" // prints a report of itself
	holdStage   = "test-hold"   // says "ready", and waits for the end of stdin
	gateStage   = "test-gate"   // forks a child that waits at its gate, prints its number, and dies
)

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case reportStage:
		os.Exit(printReport())
	case holdStage:
		os.Stdout.WriteString("ready")
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	case earlyStage:
		os.Exit(reportEarly())
	case settleStage:
		os.Exit(settleLate())
	case gateStage:
		os.Exit(dieBeforeMapping())
	}
	os.Exit(m.Run())
}

// report is what a process sees of itself.
type report struct {
	UID, GID     int
	PID, Session int
	Descriptors  map[int]string
	NonBlocking  []int
	Status       map[string]string // of /proc/self/status
	UIDs, GIDs   []IDMap
	Env          []string
	Passed       string // what was read from the descriptor "message"
	Nofile       uint64
}

func printReport() int {
	r := report{UID: os.Getuid(), GID: os.Getgid(), PID: os.Getpid(), Env: os.Environ(), Descriptors: map[int]string{}, Status: map[string]string{}}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, e := range entries {
			to, err := os.Readlink("/proc/self/fd/" + e.Name())
			if n, _ := strconv.Atoi(e.Name()); err == nil && !strings.HasPrefix(to, "anon_inode:[event") { // Go's poller
				r.Descriptors[n] = to
				if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
					r.NonBlocking = append(r.NonBlocking, n)
				}
			}
		}
	}
	r.Session, _ = unix.Getsid(0)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		r.Status[key] = strings.TrimSpace(value)
	}
	if m, err := Of(os.Getpid()); err == nil {
		r.UIDs, r.GIDs = m.UIDs, m.GIDs
	}
	if f, err := Passed("message"); err == nil {
		b := make([]byte, 100)
		n, _ := f.Read(b)
		r.Passed = string(b[:n])
	}
	// What exec gave this process, as what a child of it would get.
	limit, _ := os.ReadFile("/proc/self/limits")
	for line := range strings.Lines(string(limit)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			r.Nofile, _ = strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return 1
	}
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// current is the mapping of this host, for tests that need no subordinate ids.
func current(t *testing.T) *Mapping {
	t.Helper()
	m, err := Current()
	must(t, err)
	return m
}

// ask runs the command as a reporter and returns what it reports.
func ask(t *testing.T, c Command) report {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "report"))
	must(t, err)
	defer out.Close()
	if c.Path == "" && c.Program == nil {
		c.Path = "/proc/self/exe"
	}
	if c.Stdout = out; c.Args == nil {
		c.Args = []string{reportStage}
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	p, err := c.Start()
	must(t, err)
	status, err := p.Wait()
	must(t, err)
	if status.ExitStatus() != 0 {
		t.Fatalf("the process ended with %v", status)
	}
	var r report
	data, err := os.ReadFile(out.Name())
	must(t, err)
	must(t, json.Unmarshal(data, &r))
	return r
}

// holder is a process that stays until the test ends.
func holder(t *testing.T, c Command) *Process {
	t.Helper()
	var in, out [2]int
	must(t, unix.Pipe2(in[:], unix.O_CLOEXEC))
	must(t, unix.Pipe2(out[:], unix.O_CLOEXEC))
	stdin, stdout := os.NewFile(uintptr(in[0]), "in"), os.NewFile(uintptr(out[1]), "out")
	defer stdin.Close()
	if c.Path == "" {
		c.Path = "/proc/self/exe"
	}
	c.Args, c.Stdin, c.Stdout, c.Stderr = []string{holdStage}, stdin, stdout, os.Stderr
	p, err := c.Start()
	stdout.Close()
	if err != nil {
		unix.Close(in[1])
		unix.Close(out[0])
		t.Fatal(err)
	}
	b := make([]byte, 5)
	n, err := unix.Read(out[0], b)
	if err != nil || string(b[:n]) != "ready" {
		t.Fatalf("the holder says %q (%v)", b[:n], err)
	}
	unix.Close(out[0])
	t.Cleanup(func() {
		unix.Close(in[1])
		p.Wait()
	})
	return p
}

func pidfd(t *testing.T, pid int) *os.File {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	f := os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { f.Close() })
	return f
}

// noChild fails where this process has a child that nobody waits for. It is for
// tests that do not run in parallel.
func noChild(t *testing.T) {
	t.Helper()
	var status unix.WaitStatus
	if pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: %d (%v)", pid, err)
	}
}
