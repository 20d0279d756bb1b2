package oci

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// reapStage is the built-in init (docker run --init).
//
// It is PID 1 of the container (or, in the host's PID namespace, a subreaper), with
// the process's user, capabilities, limits and filter, in the container's root; its
// parent is the starter. It starts the process as its child, hands signals on,
// reaps, and exits as its child did. Its program is on a read-only mount.
//
// It is a program of its own rather than the init stage gone on, because the
// stage's other threads still have all capabilities.
func reapStage() int {
	setName(initStageName)
	runtime.LockOSThread() // PR_SET_PDEATHSIG of the child is bound to this thread
	if len(os.Args) < 5 {
		return codeSetup
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return codeSetup
	}
	unix.CloseOnExec(fd)
	l := link{fd}
	control, path, args := os.Args[2] == "true", os.Args[3], os.Args[4:]
	if os.Getpid() != 1 {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	// Before the child exists: PID 1 is not sent what it has no handler for.
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	// A session of its own makes the child's group the terminal's foreground one, and
	// keeps what is typed there from PID 1, which would hand it on a second time.
	child, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: control, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		l.sendFailure(execFailure(args[0], path, err))
		return codeSetup
	}
	l.close()
	go forward(signals, child)
	return reap(child)
}

// forward hands signals on, but for those that are PID 1's own business: its
// children's ends, and SIGURG, by which the Go runtime interrupts its threads.
func forward(signals <-chan os.Signal, child int) {
	for s := range signals {
		if number, ok := s.(syscall.Signal); ok && number != syscall.SIGCHLD && number != syscall.SIGURG {
			syscall.Kill(child, number)
		}
	}
}

// reap waits for all children until the one that counts has ended, and returns its
// exit code, 128+n for a signal.
func reap(child int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			fmt.Fprintln(os.Stderr, "waiting for children:", err)
			return codeSetup
		case pid != child:
			continue
		case status.Signaled():
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
}
