package store

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// RuntimeFolder is where another runtime keeps what it needs, in a container's folder. The
// runtime finds its full path in XDG_RUNTIME_DIR.
const RuntimeFolder = "runtime"

// endCreate ends what another runtime's create has left that nobody saw to its end: the
// runtime itself, and what is to become the container's first process. That one waits for its
// start, for ever, at a file of the runtime's folder that it has open; before, it has the
// environment that the runtime was given. Both name the folder, whose path ends with tail and
// has the container's id in it, which no other has.
func endCreate(tail string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; {
		left, err := ofCreate(tail)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, p := range left {
			if err := p.KillAndWait(time.Until(deadline)); err != nil {
				return err
			}
		}
	}
}

// ofCreate are the processes that belong to a runtime's folder.
func ofCreate(tail string) (all []ProcessID, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("looking for the processes of a runtime: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		id, err := Identify(pid)
		if err != nil {
			continue // it has ended
		}
		if hasEnvironment(pid, tail) || hasOpen(pid, tail) {
			all = append(all, id)
		}
	}
	return all, nil
}

// hasEnvironment tells whether a process was given that folder.
func hasEnvironment(pid int, tail string) bool {
	data, err := readFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false // another user's, or it has ended
	}
	for line := range bytes.SplitSeq(data, []byte{0}) {
		if value, ok := bytes.CutPrefix(line, []byte("XDG_RUNTIME_DIR=")); ok {
			return bytes.HasSuffix(value, []byte("/"+tail))
		}
	}
	return false
}

// hasOpen tells whether a process has a file of that folder open.
func hasOpen(pid int, tail string) bool {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if path, err := os.Readlink(folder + "/" + e.Name()); err == nil && strings.Contains(path, "/"+tail+"/") {
			return true
		}
	}
	return false
}
