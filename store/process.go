package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// ProcessID names a process beyond doubt: process ids are used again, but not
// with the same start time within one boot.
type ProcessID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, field 22 of proc_pid_stat(5)
	Boot  string `json:"boot"`  // /proc/sys/kernel/random/boot_id
}

// Identify returns the identity of a process that the caller knows to exist.
func Identify(pid int) (ProcessID, error) {
	start, err := startTime(pid)
	if err != nil {
		return ProcessID{}, err
	}
	return ProcessID{PID: pid, Start: start, Boot: bootID()}, nil
}

// Open returns a pidfd of the process, or nil when it has ended (or the machine
// was booted since).
func (p ProcessID) Open() (*os.File, error) {
	if p.PID <= 0 || p.Boot != bootID() {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening process %d: %w", p.PID, err)
	}
	// The identity is checked after the descriptor is held: from here on the
	// number cannot come to mean another process.
	start, err := startTime(p.PID)
	if err != nil || start != p.Start {
		unix.Close(fd)
		return nil, nil
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	if Ended(pidfd) { // and not reaped by its parent
		pidfd.Close()
		return nil, nil
	}
	return pidfd, nil
}

// Ended tells whether the process of a pidfd has ended.
func Ended(pidfd *os.File) bool {
	ended, err := endsWithin(pidfd, 0)
	return err == nil && ended
}

// endsWithin polls a pidfd, which becomes readable when the process has ended
// (pidfd_open(2)), whether or not its parent has reaped it.
func endsWithin(pidfd *os.File, limit time.Duration) (ended bool, err error) {
	deadline := time.Now().Add(limit)
	err = userns.Retried(func() error {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}, int((left+time.Millisecond-1)/time.Millisecond))
		ended = n > 0
		return err
	})
	return ended, err
}

// KillAndWait kills the process and returns when it has ended, or after the time
// given with an error. A process that has ended already is no error.
func (p ProcessID) KillAndWait(limit time.Duration) error {
	pidfd, err := p.Open()
	if err != nil || pidfd == nil {
		return err
	}
	defer pidfd.Close()
	if err := unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", p.PID, err)
	}
	return p.await(pidfd, limit)
}

// Wait returns when the process has ended, or after the time given with an error.
func (p ProcessID) Wait(limit time.Duration) error {
	pidfd, err := p.Open()
	if err != nil || pidfd == nil {
		return err
	}
	defer pidfd.Close()
	return p.await(pidfd, limit)
}

// await is Wait for who has the pidfd.
func (p ProcessID) await(pidfd *os.File, limit time.Duration) error {
	ended, err := endsWithin(pidfd, limit)
	if err != nil {
		return fmt.Errorf("waiting for the end of process %d: %w", p.PID, err)
	}
	if !ended {
		return fmt.Errorf("waiting for the end of process %d: still there after %v", p.PID, limit)
	}
	return nil
}

func (p ProcessID) String() string {
	return fmt.Sprintf("%d.%d.%s", p.PID, p.Start, p.Boot)
}

func parseProcessID(text string) (ProcessID, bool) {
	fields := strings.SplitN(text, ".", 3)
	if len(fields) != 3 {
		return ProcessID{}, false
	}
	pid, err1 := strconv.Atoi(fields[0])
	start, err2 := strconv.ParseUint(fields[1], 10, 64)
	return ProcessID{pid, start, fields[2]}, err1 == nil && err2 == nil
}

func startTime(pid int) (uint64, error) {
	data, err := readFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	// The name, field 2, is in parentheses and may hold anything, also ") ".
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("identifying process %d: short stat", pid)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

var bootID = sync.OnceValue(func() string {
	data, err := readFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
})
