package conmon

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// pauseLimit is how long processes may take to stop. One that hangs in the kernel, on
// a disk that does not answer, takes as long as that.
const pauseLimit = 10 * time.Second

// errPaused is what a client hears that needs a container which runs.
var errPaused = &Failure{Code: 125, Text: "the container is paused, unpause the container before exec", Hint: "skiff unpause"}

// pause stops the current life or lets it go on. The main thread calls it.
func (s *shim) pause(on bool) error {
	l := s.current()
	switch {
	case l == nil:
		return errRestarting
	case on && l.paused:
		return &Failure{Code: 125, Text: "the container is already paused"}
	case !on && !l.paused:
		return &Failure{Code: 125, Text: "the container is not paused"}
	}
	action, status := "unpause", store.Running
	if on {
		action, status = "pause", store.Paused
		if err := s.stopAll(l); err != nil {
			s.continueAll(l)
			return fmt.Errorf("pausing: %w", err)
		}
	} else {
		s.continueAll(l)
	}
	l.paused = on
	s.state.Status = status
	if err := store.WriteState(s.setup.Dir, &s.state, s.durability()); err != nil {
		return err
	}
	s.tell(action)
	return nil
}

// unpauseToEnd lets a paused container go on that was sent its last signal.
func (s *shim) unpauseToEnd() {
	go s.onMainThread(func() {
		if l := s.current(); l != nil && l.paused {
			s.pause(false)
		}
	})
}

// unpauseEnded thaws what a life leaves that ended while it was paused: a further one
// would begin frozen.
func (s *shim) unpauseEnded(l *life) {
	if l.paused {
		s.continueAll(l)
	}
}

// stopAll freezes the container's cgroup, or stops each process by a signal.
func (s *shim) stopAll(l *life) error {
	if s.state.Cgroup == nil {
		return s.stopByHand(l)
	}
	folder := s.state.Cgroup.Path
	if err := writeGroup(folder, "cgroup.freeze", "1"); err != nil {
		return err
	}
	events, err := unix.Open(filepath.Join(folder, "cgroup.events"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(folder, "cgroup.events"), Err: err}
	}
	defer unix.Close(events)
	for deadline := time.Now().Add(pauseLimit); ; {
		// Before poll: it tells of changes since the last reading.
		buffer := make([]byte, 256)
		n, err := unix.Pread(events, buffer, 0)
		if err != nil {
			return fmt.Errorf("waiting for the cgroup to freeze: %w", err)
		}
		if containsLine(buffer[:n], "frozen 1") {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the cgroup is not frozen after %v", pauseLimit)
		}
		unix.Poll([]unix.PollFd{{Fd: int32(events), Events: unix.POLLPRI}}, 100)
	}
}

// continueAll is the opposite of stopAll, also of one that went wrong half-way.
func (s *shim) continueAll(l *life) {
	if s.state.Cgroup != nil {
		writeGroup(s.state.Cgroup.Path, "cgroup.freeze", "0")
		return
	}
	l.continueByHand()
}
