package conmon

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// The test binary is also the program of every stage.
func TestMain(m *testing.M) {
	for _, stages := range []map[string]func() int{Stages(), oci.Stages(), store.Stages()} {
		if stage, ok := stages[os.Args[0]]; ok {
			os.Exit(stage())
		}
	}
	os.Exit(m.Run())
}

// testContainer is a container of a store of its own, whose one layer is busybox.
type testContainer struct {
	*store.Container
	store *store.Store
	setup Setup
}

// create makes a container that runs sh -c script.
func create(t *testing.T, script string, change func(*specs.Spec, *Setup)) *testContainer {
	t.Helper()
	if unix.Access("/bin/busybox", unix.X_OK) != nil {
		t.Fatal("busybox-static is not installed")
	}
	root, err := os.MkdirTemp("", "skiff-conmon-")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Sweep()
		if err := s.RemoveTree(root); err != nil {
			t.Error(err)
		}
	})
	const layer = "1111111111111111111111111111111111111111111111111111111111111111"
	tree := filepath.Join(root, "layers", layer)
	for _, folder := range []string{"bin", "proc", "dev", "sys", "tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(tree, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cp", "/bin/busybox", filepath.Join(tree, "bin/busybox")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, applet := range []string{"sh", "cat", "sleep", "echo", "stty", "kill", "seq", "id", "ps", "head", "setsid"} {
		os.Symlink("busybox", filepath.Join(tree, "bin", applet))
	}
	driver, err := s.Driver()
	if err != nil {
		t.Fatal(err)
	}
	spec := minimalSpec(script)
	id := store.NewID()
	setup := Setup{Container: id, User: "", Log: store.LogConfig{Type: "json-file"},
		Stack: store.Stack{Driver: driver, Store: root, Layers: []string{"sha256:" + layer}, Dir: filepath.Join(root, "containers", id)}}
	setup.Dir = setup.Stack.Dir
	if change != nil {
		change(spec, &setup)
	}
	record := &store.Record{ID: id, Name: "test-" + id[:8], HostConfig: store.HostConfig{AutoRemove: setup.AutoRemove}}
	c, err := s.Create(record, store.Fleeting, func(dir string) error {
		return store.WriteJSON(filepath.Join(dir, "config.json"), spec, store.Fleeting)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &testContainer{c, s, setup}
}

func minimalSpec(script string) *specs.Spec {
	return &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/bin"}, Cwd: "/"},
		Root:    &specs.Root{Path: "merged"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace}}},
	}
}

func (c *testContainer) start(t *testing.T, direct [3]*os.File) *Session {
	t.Helper()
	session, err := c.tryStart(direct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		session.Signal(int(unix.SIGKILL))
		session.Close()
		c.waitGone(t)
	})
	return session
}

func (c *testContainer) tryStart(direct [3]*os.File) (*Session, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	shim, err := Prepare(c.store, program, c.ID)
	if err != nil {
		return nil, err
	}
	session, _, err := shim.Begin(c.setup, direct)
	return session, err
}

// waitGone waits until no process of the store lives.
func (c *testContainer) waitGone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(enough); ; time.Sleep(5 * time.Millisecond) {
		live, err := c.store.Live()
		if err != nil || len(live) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still alive: %v", live)
		}
		c.store.Sweep()
	}
}

// collect reads a session to its end.
func collect(t *testing.T, s *Session) (stdout, stderr string, exited Exited) {
	t.Helper()
	var out, errs bytes.Buffer
	for {
		e, err := s.Recv()
		if err != nil {
			t.Fatalf("after stdout %q, stderr %q: %v", out.String(), errs.String(), err)
		}
		out.Write(e.Stdout)
		errs.Write(e.Stderr)
		if e.Exited != nil {
			return out.String(), errs.String(), *e.Exited
		}
	}
}

func attached(_ *specs.Spec, s *Setup) {
	s.Attach = Attach{Stdin: true, Stdout: true, Stderr: true}
	s.OpenStdin, s.StdinOnce = true, true
}

func TestAttachedRunGivesOutputAndExitCode(t *testing.T) {
	t.Parallel()
	c := create(t, "echo out; echo err >&2; exit 7", attached)
	stdout, stderr, exited := collect(t, c.start(t, [3]*os.File{}))
	if stdout != "out\n" || stderr != "err\n" || exited.Code != 7 || exited.Removed {
		t.Errorf("stdout %q, stderr %q, %+v", stdout, stderr, exited)
	}
	state, err := c.State()
	if err != nil || state.Status != store.Exited || state.ExitCode != 7 {
		t.Errorf("state %+v, %v", state, err)
	}
	var lines []string
	for _, r := range readLog(t, c.Dir) {
		lines = append(lines, r.Stream+":"+r.Log)
	}
	if len(lines) != 2 || !strings.Contains(fmt.Sprint(lines), "stdout:out\n") {
		t.Errorf("log %q", lines)
	}
}

func TestOutputOfAnySizeArrivesWhole(t *testing.T) {
	t.Parallel()
	c := create(t, "seq 1 200000", attached)
	stdout, _, _ := collect(t, c.start(t, [3]*os.File{}))
	if n := strings.Count(stdout, "\n"); n != 200000 || !strings.HasSuffix(stdout, "\n200000\n") {
		t.Errorf("%d lines", n)
	}
}

func TestStdinIsPassedOnAndCloses(t *testing.T) {
	t.Parallel()
	c := create(t, "cat", attached)
	s := c.start(t, [3]*os.File{})
	data := bytes.Repeat([]byte("0123456789abcdef\n"), 50000)
	go func() {
		s.SendStdin(data)
		s.CloseStdin()
	}()
	stdout, _, exited := collect(t, s)
	if stdout != string(data) || exited.Code != 0 {
		t.Errorf("%d bytes came back of %d, %+v", len(stdout), len(data), exited)
	}
}

func TestSignalOvertakesInputThatNobodyReads(t *testing.T) {
	t.Parallel()
	c := create(t, "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done", attached)
	s := c.start(t, [3]*os.File{})
	if e, err := s.Recv(); err != nil || string(e.Stdout) != "ready\n" {
		t.Fatalf("%q, %v", e.Stdout, err)
	}
	go s.SendStdin(make([]byte, 10<<20))
	s.Signal(int(unix.SIGTERM))
	if _, _, exited := collect(t, s); exited.Code != 3 {
		t.Errorf("%+v, want code 3", exited)
	}
}

func TestTerminalHasTheSizeOfTheClient(t *testing.T) {
	t.Parallel()
	c := create(t, "stty size; read x; stty size; test -t 0 && test -t 1 && test -t 2", func(spec *specs.Spec, s *Setup) {
		attached(spec, s)
		spec.Process.Terminal = true
		s.Attach.Size = Size{Rows: 31, Columns: 97}
	})
	s := c.start(t, [3]*os.File{})
	var out string
	for !strings.Contains(out, "\n") {
		e, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		out += string(e.Stdout)
	}
	s.Resize(Size{Rows: 40, Columns: 120})
	s.SendStdin([]byte("x\n"))
	rest, _, exited := collect(t, s)
	if !strings.Contains(out, "31 97") || !strings.Contains(rest, "40 120") || exited.Code != 0 {
		t.Errorf("%q, %q, %+v", out, rest, exited)
	}
}

// blockingPipe is a pipe as a shell makes them; those of package os do not block.
func blockingPipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(ends[0]), "pipe"), os.NewFile(uintptr(ends[1]), "pipe")
}

func TestDirectDescriptorsAreTheContainersOwn(t *testing.T) {
	t.Parallel()
	c := create(t, "cat; echo done", func(_ *specs.Spec, s *Setup) { s.AutoRemove = true; s.OpenStdin = true })
	in, inWrite := blockingPipe(t)
	outRead, out := blockingPipe(t)
	s := c.start(t, [3]*os.File{in, out, nil})
	in.Close()
	out.Close()
	fmt.Fprint(inWrite, "hello\n")
	inWrite.Close()
	var got bytes.Buffer
	got.ReadFrom(outRead)
	_, _, exited := collect(t, s)
	if got.String() != "hello\ndone\n" || !exited.Removed {
		t.Errorf("%q, %+v", got.String(), exited)
	}
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("folder of a --rm container: %v", err)
	}
}

func TestContainerOutlivesItsStarterAndIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := create(t, "read x; exit 4", func(_ *specs.Spec, s *Setup) { s.OpenStdin = true })
	c.start(t, [3]*os.File{}).Close()
	waiter, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan Exited, 1)
	go func() {
		e, err := waiter.Wait(context.Background())
		if errors.Is(err, ErrGone) { // it has ended before we asked
			var state *store.State
			if state, err = c.State(); err == nil {
				e.Code = state.ExitCode
			}
		}
		if err != nil {
			t.Error(err)
		}
		result <- e
	}()
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Attach(Attach{Stdin: true})
	if err != nil {
		t.Fatal(err)
	}
	s.SendStdin([]byte("go\n"))
	if e := <-result; e.Code != 4 {
		t.Errorf("%+v", e)
	}
	if _, err := Dial(c.Container); !errors.Is(err, ErrGone) {
		t.Errorf("dialling an ended container: %v", err)
	}
}

func TestSeveralClientsSeeTheSame(t *testing.T) {
	t.Parallel()
	c := create(t, "read x; echo $x", func(s *specs.Spec, setup *Setup) { attached(s, setup); setup.StdinOnce = false })
	first := c.start(t, [3]*os.File{})
	client, err := Dial(c.Container)
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.Attach(Attach{Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	first.SendStdin([]byte("word\n"))
	a, _, _ := collect(t, first)
	b, _, _ := collect(t, second)
	if a != "word\n" || b != a {
		t.Errorf("%q and %q", a, b)
	}
}

// needStatic: the exec stage is this test's own program, which finds no dynamic
// linker inside the container.
func needStatic(t *testing.T) {
	t.Helper()
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	for _, p := range self.Progs {
		if p.Type == elf.PT_INTERP {
			t.Skip("the test binary is linked dynamically: set CGO_ENABLED=0, as make test does")
		}
	}
}

func execIn(c *testContainer, request ExecRequest) (*Session, error) {
	client, err := Dial(c.Container)
	if err != nil {
		return nil, err
	}
	return client.Exec(request, [3]*os.File{})
}

func TestExecRunsInsideAndLeavesNothing(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "sleep 1000", nil)
	c.start(t, [3]*os.File{})
	process := &specs.Process{Args: []string{"sh", "-c", "echo $FOO $HOME; cat; exit 5"}, Env: []string{"PATH=/bin", "FOO=bar"}, Cwd: "/tmp"}
	s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdin: true, Stdout: true, Stderr: true}})
	if err != nil {
		t.Fatal(err)
	}
	s.SendStdin([]byte("in\n"))
	s.CloseStdin()
	stdout, stderr, exited := collect(t, s)
	if stdout != "bar /\nin\n" || exited.Code != 5 {
		t.Errorf("stdout %q, stderr %q, %+v", stdout, stderr, exited)
	}
	missing := &specs.Process{Args: []string{"nothing-here"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	var failure *Failure
	if _, err := execIn(c, ExecRequest{Process: missing}); !errors.As(err, &failure) || failure.Code != 127 {
		t.Errorf("exec of a missing program: %v", err)
	}
}

func TestExecEndsWithItsClient(t *testing.T) {
	needStatic(t)
	t.Parallel()
	c := create(t, "sleep 1000", nil)
	c.start(t, [3]*os.File{})
	process := &specs.Process{Args: []string{"sleep", "1000"}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	s, err := execIn(c, ExecRequest{Process: process, Attach: Attach{Stdout: true}})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pid)
	s.Close()
	if !ends(pid) {
		t.Error("the process outlived its client")
	}
}

func TestKilledShimTakesItsContainerAlong(t *testing.T) {
	t.Parallel()
	c := create(t, "sleep 1000", nil)
	s := c.start(t, [3]*os.File{})
	init, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(init)
	state, err := c.State()
	if err != nil || state.Status != store.Running {
		t.Fatalf("%+v, %v", state, err)
	}
	if err := state.Shim.KillAndWait(enough); err != nil {
		t.Fatal(err)
	}
	if !ends(init) {
		t.Error("the container outlived its shim")
	}
	if state, err = c.State(); err != nil || state.Status != store.Exited || state.ExitCode != 137 || state.Error == "" {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestHostPIDContainerTakesItsOrphansAlong(t *testing.T) {
	t.Parallel()
	c := create(t, "sleep 1000 >/dev/null 2>&1 & echo $!; read x", func(spec *specs.Spec, s *Setup) {
		attached(spec, s)
		spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
	})
	s := c.start(t, [3]*os.File{})
	e, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(e.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(orphan)
	s.SendStdin([]byte("\n"))
	collect(t, s)
	if !ends(orphan) {
		t.Error("a process of the container is left")
	}
}

func TestAbandonedShimLeavesNothing(t *testing.T) {
	t.Parallel()
	c := create(t, "", nil)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shim, err := Prepare(c.store, program, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	shim.Abandon()
	if live, err := c.store.Live(); err != nil || len(live) != 0 {
		t.Errorf("%v, %v", live, err)
	}
}

func TestStartFailureIsToldOnceAndUndone(t *testing.T) {
	t.Parallel()
	c := create(t, "", func(spec *specs.Spec, _ *Setup) { spec.Process.Args = []string{"nothing-here"} })
	var failure *Failure
	if _, err := c.tryStart([3]*os.File{}); !errors.As(err, &failure) || failure.Code != 127 {
		t.Fatalf("%v", err)
	}
	c.waitGone(t)
	if state, err := c.State(); err != nil || state.Status != store.Created || state.ExitCode != 127 || state.Error == "" {
		t.Errorf("%+v, %v", state, err)
	}
}

// ends waits until the process behind a pidfd has ended, and tells whether it has.
func ends(pidfd int) bool {
	for deadline := time.Now().Add(enough); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 1000)
		if err == nil && n == 1 {
			return true
		}
	}
	return false
}
