package escape

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A container reaches no process of another one or of the host's: neither by number, nor
// under /proc. With the host's processes before it, it may signal those that have the
// user's id, as documented, and no more than that, whatever it is allowed besides.
func TestProcessesOfOthers(t *testing.T) {
	t.Parallel()
	other := background(t, nil, "sleep")
	init := must(t, "inspect", "-f", "{{.State.Pid}}", other)
	shim := parentOf(t, init)
	host := exec.Command("sleep", "1000")
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { host.Process.Kill(); host.Wait() }()
	targets := []string{init, shim, strconv.Itoa(host.Process.Pid)}
	if found := attacked(t, nil, append([]string{"reach"}, targets...)...); found != "" {
		t.Errorf("with processes of its own: %s", found)
	}
	for _, options := range [][]string{{"--pid", "host"}, {"--pid", "host", "--cap-add", "SYS_PTRACE"}, {"--pid", "host", "--privileged"}} {
		found := attacked(t, options, append([]string{"reach"}, targets...)...)
		if !strings.Contains(found, "signal") {
			t.Errorf("%q: it finds nobody: %q", options, found)
		}
		if strings.Contains(found, "entered") {
			t.Errorf("%q: %s", options, found)
		}
	}
}

func parentOf(t *testing.T, pid string) string {
	t.Helper()
	for line := range strings.Lines(hostFile(t, "/proc/"+pid+"/status")) {
		if parent, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strings.TrimSpace(parent)
		}
	}
	t.Fatal("no parent of", pid)
	return ""
}

// reach tells what it can do with processes.
func reach(args []string) error {
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		if target, err := os.Readlink("/proc/" + arg + "/ns/pid"); err == nil {
			fmt.Println("entered", pid, target)
		}
		if err := unix.Kill(pid, 0); err == nil {
			fmt.Println("signal", pid)
		}
		for _, name := range []string{"root", "cwd", "exe", "fd/0"} {
			if target, err := os.Readlink("/proc/" + arg + "/" + name); err == nil {
				fmt.Println("entered", pid, name, target)
			}
		}
		if f, err := os.OpenFile("/proc/"+arg+"/mem", os.O_RDWR, 0); err == nil {
			f.Close()
			fmt.Println("entered", pid, "mem")
		}
		if err := unix.PtraceSeize(pid); err == nil {
			fmt.Println("entered", pid, "ptrace")
		}
	}
	return nil
}

// Sockets with abstract names are of the network, so a container that has the host's reaches
// them, and no other.
func TestAbstractSocketsOfTheHost(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("@skiff-escape-%d", os.Getpid())
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		t.Fatal(err)
	}
	if found := attacked(t, nil, "abstract", name); found != "connection refused" {
		t.Error(found)
	}
	if found := attacked(t, []string{"--network", "host"}, "abstract", name); found != "connected" {
		t.Errorf("with the host's network: %s", found)
	}
}

func connectAbstract(args []string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: args[0]}); err != nil {
		fmt.Println(err)
		return nil
	}
	fmt.Println("connected")
	return nil
}

// Shared memory, semaphores and queues are each container's own.
func TestMemoryOfOthers(t *testing.T) {
	t.Parallel()
	key := 0x73000000 | os.Getpid() // all of the host's processes share these numbers
	id, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
	if err != nil {
		t.Skip("no shared memory can be had here:", err)
	}
	defer unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	file := filepath.Join("/dev/shm", fmt.Sprintf("skiff-escape-%d", os.Getpid()))
	write(t, file, "secret", 0o600)
	defer os.Remove(file)
	args := []string{"memory", strconv.Itoa(key), file}
	if found := attacked(t, nil, args...); found != "" {
		t.Error(found)
	}
	if found := attacked(t, []string{"--ipc", "host"}, args...); !strings.Contains(found, "segment") || !strings.Contains(found, "file") {
		t.Errorf("with the host's: %q", found)
	}
	// Nor is it another container's, unless that one shares.
	other := background(t, []string{"--ipc", "private"}, "sleep")
	must(t, "exec", other, "touch", "/dev/shm/mine")
	if o := skiff(inside([]string{"--ipc", "container:" + other}, "memory", "1", "/dev/shm/mine")...); o.code != 125 {
		t.Errorf("joining one that is not shareable: %d %s", o.code, o.all)
	}
}

func findMemory(args []string) error {
	key, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if _, err := unix.SysvShmGet(key, 0, 0); err == nil {
		fmt.Println("found the segment")
	}
	if _, err := os.ReadFile(args[1]); err == nil {
		fmt.Println("found the file")
	}
	return nil
}
