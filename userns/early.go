package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// mappedName is the pipe that says to a process of [Command.Early] that its ids are mapped.
const mappedName = "mapped"

// AwaitMapping returns when the ids of a process that was started by [Command.Early]
// are mapped; that of another one returns at once. The main thread, which must call
// it, passes on by exec no more capabilities than root has anyway. An error says that the
// starter has given up, or is dead: there is nothing to be done but to exit.
func AwaitMapping() error {
	gate, err := Passed(mappedName)
	if err != nil {
		return nil
	}
	defer gate.Close()
	var b [1]byte
	if _, err := io.ReadFull(gate, b[:]); err != nil {
		return fmt.Errorf("waiting for the id mappings: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("reading the capabilities: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil { // what is not inheritable is not ambient (capabilities(7))
		return fmt.Errorf("dropping inheritable capabilities: %w", err)
	}
	return nil
}

// settleLimit is how long an early child may take to be executed: a busy program is
// tried for a second. Later it is mapped in vain, which says so.
const settleLimit = 10 * time.Second

// settle returns when the program of an early child is in place, or has failed, which
// helpers take much longer to ask for. While it
// is being executed the process is not dumpable for a moment, so that its ids cannot be
// mapped: between the end of the report, which exec closes, and the moment when the
// owner of its files in /proc is the starter (proc_pid(5)).
func (s *Starting) settle() {
	deadline := time.Now().Add(settleLimit)
	told := []unix.PollFd{{Fd: int32(s.report.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(told, int(time.Until(deadline).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 || told[0].Revents&unix.POLLIN != 0 {
			return // it has failed, and says how
		}
		break
	}
	ids := fmt.Sprintf("/proc/%d/uid_map", s.process.PID)
	for time.Now().Before(deadline) {
		var st unix.Stat_t
		if err := unix.Stat(ids, &st); err != nil || int(st.Uid) == os.Geteuid() {
			return
		}
		time.Sleep(20 * time.Microsecond) // nobody tells
	}
}

// fail ends a child whose ids could not be mapped. One that was to execute its program
// before may have failed at that: then this is why.
func (s *Starting) fail(err error) error {
	s.gate.Close() // the child reads end of file and exits
	if s.early {
		if first := s.process.executed(s.report); first != nil {
			return first
		}
	}
	s.process.Wait()
	return err
}
