package oci

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denyFilter answers EPERM to the given system calls and allows all others.
func denyFilter(calls ...uint32) []byte { return answerFilter(uint32(unix.EPERM), calls...) }

// answerFilter answers an errno to the given system calls and allows all others.
func answerFilter(errno uint32, calls ...uint32) []byte {
	return filter(unix.SECCOMP_RET_ERRNO|errno, unix.SECCOMP_RET_ALLOW, calls)
}

// killFilter kills for the given system calls and allows all others.
func killFilter(calls ...uint32) []byte {
	return filter(unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ALLOW, calls)
}

// allowFilter allows the given system calls and kills for any other.
func allowFilter(calls ...uint32) []byte {
	return filter(unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_KILL_PROCESS, calls)
}

// filter is a program that does the one for the given system calls and the other for all else.
func filter(these, others uint32, calls []uint32) []byte {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // seccomp_data.nr
	for i, call := range calls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: uint8(len(calls) - i)})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET, K: others}, unix.SockFilter{Code: unix.BPF_RET, K: these})
	return unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(program)*filterSize)
}

const filterScript = "grep -E '^Seccomp:' /proc/self/status | tr '\t' ' '; mkdir /tmp/x 2>/dev/null || echo denied"

func TestFilter(t *testing.T) {
	c := newContainer(t, script(filterScript)...)
	c.Seccomp = denyFilter(mkdirCalls()...)
	want(t, c.output(), "Seccomp: 2", "denied")
}

func TestFilterUnderNoNewPrivileges(t *testing.T) {
	c := newContainer(t, script(filterScript)...)
	c.Spec.Process.NoNewPrivileges = true
	c.Seccomp = denyFilter(mkdirCalls()...)
	want(t, c.output(), "Seccomp: 2", "denied")
}

// With no_new_privs the filter is installed last: it need allow nothing of what the stage does.
func TestStrictFilterMeetsTheProcessOnly(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.NoNewPrivileges = true
	c.Seccomp = allowFilter(unix.SYS_EXECVE)
	if e := c.run(); e.Failure != nil || e.Code != 128+int(unix.SIGSYS) {
		t.Errorf("%+v", e)
	}
}

func TestBrokenFilter(t *testing.T) {
	c := newContainer(t, "true")
	c.Seccomp = []byte("odd")
	c.refused(codeSetup)
	c.Seccomp = []byte("12345678") // no program that the kernel takes
	if e := c.refused(codeSetup); e.Text != "installing the system call filter: invalid argument" {
		t.Errorf("%+v", e)
	}
}
