package conmon

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Without a cgroup, processes are stopped by SIGSTOP, which none can refuse. Each is
// found below those that the shim has started: one whose parent has ended becomes the
// first process's child or, where the container has no PID namespace of its own, the
// shim's. Parents with job control can see it; that is the price.

// stopByHand stops every process, and looks again until none is new or runs.
func (s *shim) stopByHand(l *life) error {
	known := map[store.ProcessID]bool{}
	for deadline := time.Now().Add(pauseLimit); ; {
		calm := true
		for _, p := range s.processes() {
			id, err := store.Identify(p)
			if err != nil {
				continue // it has ended
			}
			state := processState(p)
			switch {
			case state == 0, state == 'Z', state == 'X':
				continue
			case !known[id]:
				known[id], calm = true, false
				if state != 'T' { // one that was stopped stays so at the end
					l.stopped = append(l.stopped, id)
					signalProcess(id, unix.SIGSTOP)
				}
			case state != 'T' && state != 't' && state != 'D':
				calm = false
				signalProcess(id, unix.SIGSTOP) // somebody has continued it
			}
		}
		if calm {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes still run after %v", pauseLimit)
		}
		time.Sleep(time.Millisecond)
	}
}

// continueByHand continues what stopByHand has stopped, children before parents, so
// that none sees its child stopped.
func (l *life) continueByHand() {
	for _, id := range slices.Backward(l.stopped) {
		signalProcess(id, unix.SIGCONT)
	}
	l.stopped = nil
}

// processes lists all processes of the container, parents before their children.
func (s *shim) processes() (all []int) {
	var visit func(pid int)
	visit = func(pid int) {
		all = append(all, pid)
		for _, child := range childrenOf(pid) {
			visit(child)
		}
	}
	for _, pid := range s.children.started() {
		visit(pid)
	}
	if s.sharedPIDs {
		for _, pid := range s.children.orphans() {
			visit(pid)
		}
	}
	return all
}

// started lists the children that the shim has started and not reaped.
func (c *children) started() (pids []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pid := range c.known {
		pids = append(pids, pid)
	}
	return pids
}

// processState is the letter of proc_pid_stat(5), or 0 where the process is gone.
func processState(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) == 0 {
		return 0
	}
	return fields[0][0]
}

// signalProcess sends a signal to the very process, whoever has its number by now.
func signalProcess(id store.ProcessID, n unix.Signal) {
	pidfd, err := id.Open()
	if err != nil || pidfd == nil {
		return
	}
	defer pidfd.Close()
	unix.PidfdSendSignal(int(pidfd.Fd()), n, nil, 0)
}

// containsLine tells whether a text has a line.
func containsLine(text []byte, line string) bool {
	for l := range bytes.Lines(text) {
		if string(bytes.TrimSpace(l)) == line {
			return true
		}
	}
	return false
}
