package userns

import (
	"fmt"
	"io"

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
