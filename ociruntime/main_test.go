package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if stage, ok := oci.Stages()[os.Args[0]]; ok {
		os.Exit(stage())
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come. It measures nothing.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// container is a test's bundle and what was made of it: root's in the host's user
// namespace, an ordinary user's in one of its own.
type container struct {
	t       *testing.T
	runtime *Runtime
	spec    *specs.Spec
	bundle  string
	options CreateOptions
	out     *os.File // what its process printed
	warned  []string
}

var applets = strings.Fields("sh cat echo ls id true sleep stat readlink pwd hostname mkdir touch tty kill uname test od tr grep env ulimit mount")

// groups numbers the control groups, which all containers of the tests have at one place.
var groups atomic.Int64

// newContainer is a bundle with busybox whose process runs a script.
func newContainer(t *testing.T, lines ...string) *container {
	t.Helper()
	t.Parallel()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox-static is not installed")
	}
	c := &container{t: t, bundle: t.TempDir(), spec: ExampleSpec(!InitialRoot())}
	c.runtime = &Runtime{Root: filepath.Join(t.TempDir(), "runtime"), Rootless: !InitialRoot(), Warn: func(text string) { c.warned = append(c.warned, text) }}
	bin := c.path("bin")
	must(t, os.MkdirAll(bin, 0o755))
	data, err := os.ReadFile(busybox)
	must(t, err)
	must(t, writeProgram(filepath.Join(bin, "busybox"), data))
	for _, a := range applets {
		must(t, os.Symlink("busybox", filepath.Join(bin, a)))
	}
	c.out, err = os.CreateTemp(t.TempDir(), "out")
	must(t, err)
	null, err := os.Open(os.DevNull)
	must(t, err)
	c.spec.Process.Args = []string{"sh", "-c", strings.Join(lines, "\n")}
	c.spec.Process.Terminal = false
	c.spec.Linux.CgroupsPath = fmt.Sprintf("skiff-test-%d-%d", os.Getpid(), groups.Add(1))
	c.options = CreateOptions{ID: "test", Bundle: c.bundle, Owner: "tester", Stdio: [3]*os.File{null, c.out, c.out}}
	t.Cleanup(func() {
		if err := c.runtime.Delete("test", true); err != nil {
			t.Error(err)
		}
		c.nothingLeft()
		null.Close()
		c.out.Close()
	})
	return c
}

// writeProgram writes a file that is to be executed, while nothing is forked.
func writeProgram(path string, data []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, data, 0o755)
}

// path is a file of the root file system as the host sees it.
func (c *container) path(name string) string { return filepath.Join(c.bundle, "rootfs", name) }

func (c *container) write() {
	c.t.Helper()
	data, err := json.Marshal(c.spec)
	must(c.t, err)
	must(c.t, os.WriteFile(filepath.Join(c.bundle, "config.json"), data, 0o644))
}

func (c *container) create() {
	c.t.Helper()
	c.write()
	must(c.t, c.runtime.Create(&c.options))
}

// refused creates a container that cannot be made, and returns why.
func (c *container) refused(words string) {
	c.t.Helper()
	c.write()
	err := c.runtime.Create(&c.options)
	if err == nil || !strings.Contains(err.Error(), words) {
		c.t.Errorf("%v, want %q", err, words)
	}
	c.nothingLeft()
}

func (c *container) status(want specs.ContainerState) *State {
	c.t.Helper()
	opened, err := c.runtime.Open("test")
	must(c.t, err)
	s, err := opened.State()
	must(c.t, err)
	if s.Status != want {
		c.t.Errorf("it is %s, want %s", s.Status, want)
	}
	return s
}

// await waits until the container has that status.
func (c *container) await(want specs.ContainerState) {
	c.t.Helper()
	opened, err := c.runtime.Open("test")
	must(c.t, err)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if status, err := opened.status(); err == nil && status == want {
			return
		}
	}
	c.t.Fatalf("it does not get %s", want)
}

// output starts the container and returns what it printed to its end.
func (c *container) output() string {
	c.t.Helper()
	c.create()
	must(c.t, c.runtime.Start("test"))
	c.await(specs.StateStopped)
	return c.printed()
}

func (c *container) printed() string {
	c.t.Helper()
	data, err := os.ReadFile(c.out.Name())
	must(c.t, err)
	return strings.TrimSpace(string(data))
}

// awaitPrinted waits until the container has printed that.
func (c *container) awaitPrinted(want string) {
	c.t.Helper()
	for end := time.Now().Add(patience); c.printed() != want; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("it printed %q, want %q", c.printed(), want)
		}
	}
}

// prints runs the container and compares.
func (c *container) prints(want ...string) {
	c.t.Helper()
	if got := c.output(); got != strings.Join(want, "\n") {
		c.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// nothingLeft looks for what a deleted container must not leave.
func (c *container) nothingLeft() {
	c.t.Helper()
	if entries, err := os.ReadDir(c.runtime.Root); err == nil && len(entries) > 0 {
		c.t.Errorf("%s was left", entries[0].Name())
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	must(c.t, err)
	if strings.Contains(string(data), c.bundle) {
		c.t.Error("a mount was left")
	}
}

// exec runs a further process and returns its exit code.
func (c *container) exec(o ExecOptions, args ...string) (int, error) {
	c.t.Helper()
	o.Stdio = c.options.Stdio
	if o.Process == nil {
		o.Process = func(of *specs.Process) (*specs.Process, error) {
			p := *of
			p.Args = args
			return &p, nil
		}
	}
	started, err := c.runtime.Exec("test", &o)
	if err != nil {
		return 0, err
	}
	status, err := started.Process.Wait()
	return status.ExitStatus(), err
}

func hooks(script string) []specs.Hook {
	return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}}
}

// receive accepts one connection at a socket and returns the message and its descriptor.
func receive(t *testing.T, listener int) (string, *os.File) {
	t.Helper()
	fd, _, err := unix.Accept(listener)
	must(t, err)
	defer unix.Close(fd)
	body, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
	n, rn, _, _, err := unix.Recvmsg(fd, body, rights, unix.MSG_CMSG_CLOEXEC)
	must(t, err)
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	must(t, err)
	if len(messages) != 1 {
		t.Fatalf("%d messages with descriptors", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	must(t, err)
	return string(body[:n]), os.NewFile(uintptr(fds[0]), "received")
}

func listenAt(t *testing.T) (path string, fd int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	must(t, err)
	path = filepath.Join(dir, "s")
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	must(t, unix.Listen(fd, 1))
	t.Cleanup(func() { unix.Close(fd); os.RemoveAll(dir) })
	return path, fd
}

// showAll reads a terminal to its end.
func showAll(console *os.File) string {
	all, err := io.ReadAll(oci.ConsoleReader{Master: console})
	if err != nil && !errors.Is(err, unix.EIO) {
		return err.Error()
	}
	return strings.TrimSpace(strings.ReplaceAll(string(all), "\r", ""))
}

func drop(s *specs.Spec, kind specs.LinuxNamespaceType) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}
