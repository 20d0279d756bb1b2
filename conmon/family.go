package conmon

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxRounds bounds how often a family is looked for that is still there: one that
// forks faster than it is killed ends with the container.
const maxRounds = 100

// endFamily ends a process of exec and what it has started: its descendants, and the
// members of the session that it leads, also where their parents have ended. Only what
// has left the session and has no living ancestor in it cannot be told from the
// container's own processes.
func (s *shim) endFamily(r *running) {
	for range maxRounds {
		family := s.familyOf(r)
		for _, p := range family {
			unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
			unix.Close(p.pidfd)
		}
		r.signal(unix.SIGKILL) // last: it is the root by which the others are found
		if len(family) == 0 {
			return
		}
		time.Sleep(time.Millisecond) // they need a moment to go
	}
}

// relative is a process of the container.
type relative struct {
	pid, parent, session int
	pidfd                int
}

// familyOf opens the living members of a family but its head. There are none where the
// head has been reaped and its number is another process's: a session keeps the number of
// its leader from being used again, so nobody is left in that one.
func (s *shim) familyOf(r *running) (family []relative) {
	defer func() {
		if !s.children.has(r.pid) && exists(r.pid) {
			for _, p := range family {
				unix.Close(p.pidfd)
			}
			family = nil
		}
	}()
	inside := map[int]bool{r.pid: true}
	var visit func(pid int)
	visit = func(pid int) {
		for _, child := range childrenOf(pid) {
			p, ok := look(child)
			if !ok {
				continue
			}
			if child != r.pid && (inside[p.parent] || p.session == r.pid) {
				inside[child] = true
				if p.open() {
					family = append(family, p)
				}
			}
			visit(child)
		}
	}
	visit(os.Getpid()) // every process of the container is our descendant
	return family
}

func exists(pid int) bool {
	_, err := os.Lstat("/proc/" + strconv.Itoa(pid))
	return err == nil
}

// open opens the process, unless it has ended and another one has its number.
func (p *relative) open() bool {
	pidfd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return false
	}
	if again, ok := look(p.pid); !ok || again.session != p.session || again.parent != p.parent {
		unix.Close(pidfd)
		return false
	}
	p.pidfd = pidfd
	return true
}

// look reads what /proc tells of a process; one that has ended is not there.
func look(pid int) (p relative, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return p, false
	}
	// Its name, in parentheses, may hold anything (proc_pid_stat(5)).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 4 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return p, false
	}
	p.pid = pid
	p.parent, _ = strconv.Atoi(string(fields[1]))
	p.session, _ = strconv.Atoi(string(fields[3]))
	return p, true
}

// childrenOf lists the children of all threads of a process (proc_tid_children(5)).
func childrenOf(pid int) (children []int) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	for _, thread := range threads {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		if err != nil {
			continue
		}
		for text := range strings.FieldsSeq(string(list)) {
			if child, err := strconv.Atoi(text); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
