package oci

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// container is a test's container: change the request, then run it.
type container struct {
	request
	t       *testing.T
	single  bool // only root is mapped, as for a user without subordinate ids
	foreign bool // the starter's program lies on a mount of another namespace
}

var applets = strings.Fields(`sh cat echo ls id true false sleep grep head tail wc mount umount stat readlink
	env pwd hostname ip ps kill touch mkdir rm ln dd tr test stty tty od sort cut seq printf ulimit awk sed df chmod mkfifo ifconfig`)

// newContainer returns a container of busybox with a spec like Docker's.
func newContainer(t *testing.T, args ...string) *container {
	t.Helper()
	t.Parallel()
	return &container{t: t, request: request{Rootfs: busyboxRoot(t), Spec: dockerSpec(args...)}}
}

// busyboxRoot makes a root file system from busybox.
func busyboxRoot(t testing.TB) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox-static is not installed")
	}
	rootfs := t.TempDir()
	for _, dir := range []string{"bin", "etc", "tmp", "proc", "sys", "dev", "root"} {
		must(t, os.Mkdir(filepath.Join(rootfs, dir), 0o755))
	}
	must(t, os.Chmod(filepath.Join(rootfs, "tmp"), 0o777|os.ModeSticky))
	data, err := os.ReadFile(busybox)
	must(t, err)
	must(t, writeProgram(filepath.Join(rootfs, "bin/busybox"), data))
	for _, a := range applets {
		must(t, os.Symlink("busybox", filepath.Join(rootfs, "bin", a)))
	}
	must(t, os.WriteFile(filepath.Join(rootfs, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644))
	return rootfs
}

// writeProgram writes a file that is to be executed. No process is forked
// meanwhile: one that inherits the descriptor keeps the file busy (ETXTBSY).
func writeProgram(path string, data []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, data, 0o755)
}

// path is a file of the container as the host sees it.
func (c *container) path(name string) string { return filepath.Join(c.Rootfs, name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var dockerCapabilities = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

func dockerProcess(args ...string) *specs.Process {
	return &specs.Process{
		Args: args, Cwd: "/",
		Env:          []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Capabilities: &specs.LinuxCapabilities{Bounding: dockerCapabilities, Effective: dockerCapabilities, Permitted: dockerCapabilities},
	}
}

func dockerSpec(args ...string) *specs.Spec {
	return &specs.Spec{
		Process:  dockerProcess(args...),
		Root:     &specs.Root{},
		Hostname: "testhost",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.CgroupNamespace}},
			MaskedPaths: []string{"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// dropNamespace makes the container share one with its starter.
func (c *container) dropNamespace(kind specs.LinuxNamespaceType) {
	var kept []specs.LinuxNamespace
	for _, n := range c.Spec.Linux.Namespaces {
		if n.Type != kind {
			kept = append(kept, n)
		}
	}
	c.Spec.Linux.Namespaces = kept
}

// running is a container that was started; its output is to be read.
type running struct {
	t              testing.TB
	shim           *userns.Process
	stdin          *os.File
	stdout, stderr *os.File
	result         *os.File
}

// enter returns a command that becomes root of a user namespace of its own.
func enter(t testing.TB, single bool) *userns.Command {
	t.Helper()
	mapping, err := userns.Current()
	must(t, err)
	if single {
		mapping = &userns.Mapping{Single: true,
			UIDs: []userns.IDMap{{Inside: 0, Outside: uint32(os.Getuid()), Size: 1}},
			GIDs: []userns.IDMap{{Inside: 0, Outside: uint32(os.Getgid()), Size: 1}}}
	}
	program, err := os.Executable()
	must(t, err)
	return &userns.Command{
		Path: program, ReadOnly: true, Create: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Mapping: mapping,
		BecomeRoot: true, Session: true, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
	}
}

func (c *container) start() *running { return c.startIn(c.t) }

func (c *container) startIn(t testing.TB) *running {
	t.Helper()
	r := &running{t: t}
	var theirs []*os.File
	pipe := func(write bool) (ours, their *os.File) {
		read, w, err := os.Pipe()
		must(t, err)
		ours, their = read, w
		if write {
			ours, their = w, read
		}
		t.Cleanup(func() { ours.Close() })
		theirs = append(theirs, their)
		return ours, their
	}
	cmd := enter(t, c.single)
	cmd.Args = []string{shimStageName}
	if c.foreign {
		cmd.Path, cmd.ReadOnly = "/proc/self/exe", false
	}
	var request, in, result *os.File
	r.stdin, cmd.Stdin = pipe(true)
	r.stdout, cmd.Stdout = pipe(false)
	r.stderr, cmd.Stderr = pipe(false)
	request, in = pipe(true)
	r.result, result = pipe(false)
	cmd.Files = []userns.File{{Name: "request", File: in}, {Name: "result", File: result}}
	var err error
	r.shim, err = cmd.Start()
	must(t, userns.Explain(err))
	for _, f := range theirs {
		f.Close()
	}
	must(t, json.NewEncoder(request).Encode(c.request))
	request.Close()
	return r
}

// ended is what a container left.
type ended struct {
	outcome
	stdout, stderr string
}

// wait reads everything to its end.
func (r *running) wait() ended {
	r.t.Helper()
	r.stdin.Close()
	var e ended
	var stdout, stderr, result bytes.Buffer
	var readers sync.WaitGroup
	for _, p := range []struct {
		from *os.File
		to   *bytes.Buffer
	}{{r.stdout, &stdout}, {r.stderr, &stderr}, {r.result, &result}} {
		readers.Go(func() { io.Copy(p.to, p.from) })
	}
	status, err := r.shim.Wait()
	must(r.t, err)
	readers.Wait()
	e.stdout, e.stderr = stdout.String(), stderr.String()
	if status.ExitStatus() != 0 {
		r.t.Fatalf("the stand-in for a shim ended with %v: %s", status.ExitStatus(), e.stderr)
	}
	must(r.t, json.Unmarshal(result.Bytes(), &e.outcome))
	return e
}

// run starts the container and waits for its end.
func (c *container) run() ended {
	c.t.Helper()
	return c.start().wait()
}

// output runs a container that must succeed, and returns what it printed.
func (c *container) output() string {
	c.t.Helper()
	e := c.run()
	if e.Failure != nil {
		c.t.Fatalf("starting: %s (hint: %s)", e.Failure.Text, e.Failure.Hint)
	}
	if e.Code != 0 {
		c.t.Fatalf("exit code %d: %s%s", e.Code, e.stdout, e.stderr)
	}
	return e.stdout
}

// refused runs a container that must not start, and returns why.
func (c *container) refused(code int) *Error {
	c.t.Helper()
	e := c.run()
	if e.Failure == nil {
		c.t.Fatalf("it was started, and ended with %d: %s%s", e.Code, e.stdout, e.stderr)
	}
	if e.Failure.Code != code {
		c.t.Fatalf("code %d, want %d: %s", e.Failure.Code, code, e.Failure.Text)
	}
	return e.Failure
}

// needStatic skips what runs this program inside a container, in which the test's
// program finds no dynamic loader.
func needStatic(t *testing.T) {
	t.Helper()
	program, err := elf.Open("/proc/self/exe")
	must(t, err)
	defer program.Close()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Skip("the test is linked dynamically: run it with CGO_ENABLED=0")
		}
	}
}

// script is a command line for the container's shell.
func script(lines ...string) []string { return []string{"sh", "-ec", strings.Join(lines, "\n")} }
