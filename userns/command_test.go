package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func inU(t *testing.T) Command {
	return Command{Create: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Mapping: current(t), BecomeRoot: true}
}

func TestCreate(t *testing.T) {
	m := current(t)
	r := ask(t, inU(t))
	if r.UID != 0 || r.GID != 0 {
		t.Errorf("the process is %d:%d, want root", r.UID, r.GID)
	}
	if !slices.Equal(r.UIDs, m.UIDs) && os.Geteuid() != 0 {
		t.Errorf("its user ids are %v, want %v", r.UIDs, m.UIDs)
	}
	if caps := r.Status["CapEff"]; strings.Trim(caps, "01f37") != "" || strings.HasSuffix(caps, "0") {
		t.Errorf("its capabilities are %s, want all", caps)
	}
	for _, set := range []string{"SigBlk", "SigPnd"} {
		if strings.Trim(r.Status[set], "0") != "" {
			t.Errorf("%s is %s, want none", set, r.Status[set])
		}
	}
}

func TestJoin(t *testing.T) {
	h := holder(t, inU(t))
	r := ask(t, Command{Join: pidfd(t, h.PID), JoinFlags: unix.CLONE_NEWUSER, Unshare: unix.CLONE_NEWNS, BecomeRoot: true, Session: true})
	want, err := Of(h.PID)
	must(t, err)
	if r.UID != 0 || !strings.HasSuffix(r.Status["CapEff"], "f") {
		t.Errorf("the process is %d with capabilities %s, want root", r.UID, r.Status["CapEff"])
	}
	if r.Session != r.PID {
		t.Errorf("its session is %d, want its own, %d", r.Session, r.PID)
	}
	if len(r.UIDs) != len(want.UIDs) {
		t.Errorf("its user ids are %v, those of the holder %v", r.UIDs, want.UIDs)
	}
}

// The child says of itself that it enters the group, before it executes anything.
func TestGroup(t *testing.T) {
	procs, err := os.Create(filepath.Join(t.TempDir(), "cgroup.procs"))
	must(t, err)
	defer procs.Close()
	c := inU(t)
	c.Group = procs
	ask(t, c)
	if text, err := os.ReadFile(procs.Name()); err != nil || string(text) != "0" {
		t.Errorf("the child wrote %q (%v), want 0, itself", text, err)
	}
	if c.Group, err = os.Open(procs.Name()); err != nil {
		t.Fatal(err)
	}
	defer c.Group.Close()
	c.Path = "/bin/true"
	if _, err = c.Start(); err == nil || !strings.Contains(err.Error(), "entering the cgroup") {
		t.Errorf("a group that cannot be entered: %v", err)
	}
}

// A process that enters a PID namespace is one step further away, and a child of
// the caller all the same.
func TestReparent(t *testing.T) {
	c := inU(t)
	c.Create |= unix.CLONE_NEWPID
	h := holder(t, c)
	r := ask(t, Command{Join: pidfd(t, h.PID), JoinFlags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID, BecomeRoot: true, Reparent: true})
	if r.PID == 1 || r.PID > 10 {
		t.Errorf("inside, the process has number %d", r.PID)
	}
	noReparented(t, h)
}

// noReparented: the failure of the second process is told as the first's would be.
func noReparented(t *testing.T, h *Process) {
	t.Helper()
	c := Command{Path: "/nowhere", Args: []string{"x"}, Join: pidfd(t, h.PID), JoinFlags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID, BecomeRoot: true, Reparent: true}
	var start *StartError
	if _, err := c.Start(); !errors.As(err, &start) || start.Errno != unix.ENOENT {
		t.Errorf("starting what is not there: %v", err)
	}
}

func TestSingleMapping(t *testing.T) {
	m := &Mapping{UIDs: []IDMap{{0, uint32(os.Geteuid()), 1}}, GIDs: []IDMap{{0, uint32(os.Getegid()), 1}}, Single: true}
	c := inU(t)
	c.Mapping = m
	r := ask(t, c)
	if r.UID != 0 || r.GID != 0 || !slices.Equal(r.UIDs, []IDMap{{0, uint32(os.Geteuid()), 1}}) && os.Geteuid() != 0 {
		t.Errorf("the process is %d:%d with %v", r.UID, r.GID, r.UIDs)
	}
}

func TestDescriptors(t *testing.T) {
	leak, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // without close-on-exec, as a careless parent's
	must(t, err)
	defer unix.Close(leak)
	message := filepath.Join(t.TempDir(), "message")
	must(t, os.WriteFile(message, []byte("hello"), 0o600))
	f, err := os.Open(message)
	must(t, err)
	defer f.Close()
	stdin, write, err := os.Pipe()
	must(t, err)
	defer stdin.Close()
	defer write.Close()
	other, err := os.Open("/dev/null")
	must(t, err)
	defer other.Close()
	for name, c := range map[string]Command{"plain": {}, "in a namespace": inU(t)} {
		t.Run(name, func(t *testing.T) {
			c.Stdin, c.Files = stdin, []File{{"other", other}, {"message", f}}
			must(t, func() error { _, err := f.Seek(0, io.SeekStart); return err }())
			r := ask(t, c)
			if r.Passed != "hello" {
				t.Errorf("by the passed descriptor came %q", r.Passed)
			}
			for n, to := range r.Descriptors {
				if n > 4 && !strings.HasPrefix(to, "/proc/") {
					t.Errorf("descriptor %d is %s", n, to)
				}
			}
			if r.Descriptors[4] != message || r.Descriptors[3] != "/dev/null" {
				t.Errorf("the descriptors are %v", r.Descriptors)
			}
			if slices.Contains(r.NonBlocking, 0) {
				t.Error("stdin is non-blocking")
			}
			if !slices.Equal(r.Env, []string{passedVariable + "=other,message"}) {
				t.Errorf("the environment is %q", r.Env)
			}
		})
	}
}

// Nothing is left open in the caller, whatever happened.
func TestNoDescriptorLeaksInTheCaller(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	ask(t, inU(t)) // what Go opens once for itself
	before := count()
	for range 5 {
		ask(t, inU(t))
		c := inU(t)
		c.Path, c.Args = "/nowhere", []string{"x"}
		c.Start()
		c.Create |= 1 << 40 // clone refuses
		c.Start()
		c = Command{Path: "/bin/true", Args: []string{"x"}, Join: os.Stdin, JoinFlags: unix.CLONE_NEWUSER}
		c.Start()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	noChild(t)
}

func TestStartErrors(t *testing.T) {
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	for name, test := range map[string]struct {
		change func(*Command)
		step   step
		errno  syscall.Errno
	}{
		"missing program":           {func(c *Command) { c.Path = "/nowhere" }, stepExec, unix.ENOENT},
		"a folder":                  {func(c *Command) { c.Path = "/" }, stepExec, unix.EACCES},
		"no namespace":              {func(c *Command) { *c = Command{Join: null, JoinFlags: unix.CLONE_NEWUSER} }, stepJoin, unix.EINVAL},
		"bad unshare":               {func(c *Command) { c.Unshare = unix.CLONE_PIDFD }, stepUnshare, unix.EINVAL},
		"missing read-only program": {func(c *Command) { c.Path, c.ReadOnly = "/nowhere", true }, stepProgram, unix.ENOENT},
	} {
		t.Run(name, func(t *testing.T) {
			c := inU(t)
			c.Path = "/bin/true"
			test.change(&c)
			if c.Path == "" {
				c.Path = "/bin/true"
			}
			c.Args = []string{"x"}
			_, err := c.Start()
			var start *StartError
			if !errors.As(err, &start) || start.Step != stepNames[test.step] || start.Errno != test.errno {
				t.Errorf("got %v, want %s: %v", err, stepNames[test.step], test.errno)
			}
			if hinted := strings.Contains(err.Error(), "CGO_ENABLED=0"); hinted != (test.step == stepExec && test.errno == unix.ENOENT) {
				t.Errorf("got %v", err)
			}
			noChild(t)
		})
	}
	t.Run("mapping", func(t *testing.T) {
		c := inU(t)
		c.Path, c.Args, c.Mapping = "/bin/true", []string{"x"}, &Mapping{Single: true} // the kernel refuses an empty one
		if _, err := c.Start(); err == nil {
			t.Error("a process without mappings was started")
		}
		noChild(t)
	})
}

// The program of a process in U cannot be written to: not while it runs, nor after
// its end through a descriptor from before (CVE-2019-5736).
func TestReadOnlyProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, writeProgram(program, self))
	attack := func(t *testing.T, c Command) (during, after error) {
		var in [2]int
		must(t, unix.Pipe2(in[:], unix.O_CLOEXEC))
		stdin := os.NewFile(uintptr(in[0]), "in")
		c.Path, c.Args, c.Stdin = program, []string{holdStage}, stdin
		p, err := c.Start()
		stdin.Close()
		must(t, err)
		link := "/proc/" + strconv.Itoa(p.PID) + "/exe"
		held, err := unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(held)
		open := func(path string) error {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}
		during = open(link)
		unix.Close(in[1])
		_, err = p.Wait()
		must(t, err)
		return during, open("/proc/self/fd/" + strconv.Itoa(held))
	}
	if during, after := attack(t, inU(t)); !errors.Is(during, unix.ETXTBSY) || after != nil {
		t.Errorf("without protection: %v, %v; the test would see nothing", during, after)
	}
	c := inU(t)
	c.ReadOnly = true
	// While it runs, being executed forbids it already.
	if during, after := attack(t, c); during == nil || !errors.Is(after, unix.EROFS) {
		t.Errorf("opening the program for writing: %v, later %v, want EROFS", during, after)
	}
}

func TestReadOnlySelf(t *testing.T) {
	c := inU(t)
	c.ReadOnly = true
	c.Path = "/proc/self/exe"
	ask(t, c)
}

func TestProgramByDescriptor(t *testing.T) {
	f, err := os.Open("/proc/self/exe")
	must(t, err)
	defer f.Close()
	ask(t, Command{Program: f})
}

// dieBeforeMapping is the stage: its child waits for mappings that never come.
func dieBeforeMapping() int {
	path, _ := syscall.BytePtrFromString("/bin/true")
	argv, _ := syscall.SlicePtrFromStrings([]string{"true"})
	envv, _ := syscall.SlicePtrFromStrings(nil)
	p := plan{cloneFlags: unix.CLONE_NEWUSER, join: -1, group: -1, programFile: -1, programPath: path, argv: &argv[0], envv: &envv[0]}
	var own descriptors
	if _, err := own.pipe(&p.report); err != nil {
		return 1
	}
	if _, err := own.gate(&p); err != nil {
		return 1
	}
	syscall.ForkLock.Lock()
	pid, errno := fork(&p)
	if errno != 0 {
		return 1
	}
	fmt.Print(pid)
	unix.Kill(os.Getpid(), unix.SIGKILL)
	return 1
}

func TestGateEndsWithTheParent(t *testing.T) {
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{gateStage}, Stderr: os.Stderr}
	out, _ := cmd.Output() // killed
	pid, err := strconv.Atoi(string(out))
	if err != nil {
		t.Fatalf("the stage printed %q", out)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return // it has ended, as it should
	}
	must(t, err)
	defer unix.Close(fd)
	n, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60000)
	}
	if err != nil || n != 1 {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		t.Errorf("the child waits on after its parent's death (%d, %v)", n, err)
	}
}

// Children get the limit on open files that the program was started with, not the
// one that Go raised for itself.
func TestNofile(t *testing.T) {
	const inner = "SKIFF_TEST_NOFILE"
	if os.Getenv(inner) != "" { // second round, started with another limit
		read, write, err := os.Pipe()
		must(t, err)
		c := Command{Path: "/bin/sh", Args: []string{"sh", "-c", "ulimit -Sn"}, Stdout: write, Stderr: os.Stderr}
		p, err := c.Start()
		must(t, err)
		write.Close()
		out, err := io.ReadAll(read)
		must(t, err)
		p.Wait()
		var own unix.Rlimit
		must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &own))
		fmt.Printf("own %d child %s", own.Cur, out)
		return
	}
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command("/bin/sh", "-c", "ulimit -Sn 321 && exec "+exe+" -test.run=^TestNofile$")
	cmd.Env = append(os.Environ(), inner+"=1")
	out, err := cmd.CombinedOutput()
	must(t, err)
	if !strings.Contains(string(out), "child 321\n") || strings.Contains(string(out), "own 321 ") {
		t.Errorf("started with 321: %s", out)
	}
}

// writeProgram writes a file that is to be executed. No process is forked
// meanwhile: one that inherits the descriptor keeps the file busy (ETXTBSY).
func writeProgram(path string, data []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, data, 0o755)
}
