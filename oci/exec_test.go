package oci

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withExec is a container that sleeps while processes run in it one after the other.
func withExec(t *testing.T, processes ...*specs.Process) *container {
	t.Helper()
	needStatic(t) // the stage is executed inside the container already
	c := newContainer(t, "sleep", "1000")
	for _, p := range processes {
		c.Execs = append(c.Execs, execRequest{Process: p})
	}
	c.Kill = int(unix.SIGKILL)
	return c
}

func (c *container) execs(codes ...int) ended {
	c.t.Helper()
	e := c.run()
	if e.Failure != nil || e.Code != 137 {
		c.t.Fatalf("%+v: %s", e.outcome, e.stderr)
	}
	for i, x := range e.Execs {
		if x.Failure != nil && x.Failure.Code != codes[i] || x.Failure == nil && x.Code != codes[i] {
			c.t.Errorf("exec %d: %+v %+v, want code %d: %s", i, x, x.Failure, codes[i], e.stderr)
		}
	}
	return e
}

func TestExec(t *testing.T) {
	inside := dockerProcess(script("hostname; id -u; test $(cat /proc/1/comm) = sleep && echo pid", "readlink /proc/1/root; readlink /proc/self/root",
		"for n in mnt pid net ipc uts cgroup user; do test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) || echo differs $n; done; exit 3")...)
	c := withExec(t, inside)
	want(t, c.execs(3).stdout, "testhost", "0", "pid", "/", "/")
}

func TestExecAttributes(t *testing.T) {
	p := dockerProcess(script("id; pwd; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\t' ' '; ulimit -n; cat /proc/self/oom_score_adj; umask")...)
	c := withExec(t, p)
	needRange(t)
	score, mask := 500, uint32(0o77)
	p.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{7}, Umask: &mask}
	p.Cwd = "/tmp"
	p.NoNewPrivileges = true
	p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 99, Hard: 100}}
	p.OOMScoreAdj = &score
	want(t, c.execs(0).stdout, "uid=1000 gid=1001 groups=7", "/tmp", "CapEff: 0000000000000000",
		"CapBnd: "+capabilityLine(dockerCapabilities), "NoNewPrivs: 1", "99", "500", "0077")
}

func TestExecFilter(t *testing.T) {
	c := withExec(t, dockerProcess(script(filterScript)...))
	c.Execs[0].Seccomp = denyFilter(mkdirCalls()...)
	want(t, c.execs(0).stdout, "Seccomp: 2", "denied")
}

func TestExecFailures(t *testing.T) {
	c := withExec(t, dockerProcess("nonesuch"), dockerProcess("/etc/passwd"), dockerProcess("true"), dockerProcess())
	c.Execs[2].Process.Cwd = "/nonesuch"
	e := c.execs(127, 126, 127, 125)
	if text := e.Execs[0].Failure.Text; text != `exec: "nonesuch": executable file not found in $PATH` {
		t.Error(text)
	}
	if text := e.Execs[2].Failure.Text; text != `entering the working directory "/nonesuch": no such file or directory` {
		t.Error(text)
	}
}

func TestExecOnlyStdioIsOpen(t *testing.T) {
	c := withExec(t, dockerProcess(script(listDescriptors)...))
	checkDescriptors(t, c.execs(0).stdout)
}

// A directory reached through a descriptor of ours would lie on the host (CVE-2024-21626).
func TestExecDirectoryInADescriptor(t *testing.T) {
	var processes []*specs.Process
	for fd := 3; fd < 40; fd++ {
		p := dockerProcess("true")
		p.Cwd = fmt.Sprintf("/proc/self/fd/%d", fd)
		processes = append(processes, p)
	}
	c := withExec(t, processes...)
	e := c.run()
	for i, x := range e.Execs {
		if x.Failure == nil {
			t.Errorf("descriptor %d was a working directory", 3+i)
		}
	}
}

// Where the container shares namespaces with its starter, only the others are joined.
func TestExecWithHostNamespaces(t *testing.T) {
	c := withExec(t, dockerProcess(script("readlink /proc/self/root; test -d /proc/$$ && echo proc")...))
	for _, kind := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace} {
		c.dropNamespace(kind)
	}
	want(t, c.execs(0).stdout, "/", "proc")
}

func TestExecProgramCannotBeWritten(t *testing.T) {
	c := withExec(t, dockerProcess(script(exeWriter)...))
	c.Init = true
	want(t, c.execs(0).stdout, "tried")
}

func TestExecInNoContainer(t *testing.T) {
	t.Parallel()
	pidfd, err := unix.PidfdOpen(1, 0)
	must(t, err)
	defer unix.Close(pidfd)
	if pid, err := parsePid("pos:\t0\nflags:\t02\nPid:\t-1\nNSpid:\t-1\n"); err != unix.ESRCH {
		t.Errorf("%d %v", pid, err)
	}
	if pid, err := parsePid("pos:\t0\nPid:\t42\nNSpid:\t42\n"); err != nil || pid != 42 {
		t.Errorf("%d %v", pid, err)
	}
	if _, err := parsePid("pos:\t0\n"); err == nil {
		t.Error("no pidfd, and no error")
	}
}

// The number of a process that has ended may be that of one of the host's.
func TestExecInAnEndedContainer(t *testing.T) {
	t.Parallel()
	ended := exec.Command("sleep", "1000")
	must(t, ended.Start())
	fd, err := unix.PidfdOpen(ended.Process.Pid, 0)
	ended.Process.Kill()
	ended.Wait()
	must(t, err)
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	defer pidfd.Close()
	if flags, err := toJoin(pidfd, os.Getpid()); err != unix.ESRCH {
		t.Errorf("%#x, %v", flags, err)
	}
}
