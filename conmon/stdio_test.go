package conmon

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is typed into a terminal that its process has just closed is echoed, and nobody
// will ever read that.
func TestEchoInAClosedTerminalHoldsNothingUp(t *testing.T) {
	t.Parallel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	target := newTarget(&stdio{}, master, nil, nil, nil)
	target.pump()
	slave.Close()
	select {
	case <-target.outputs[0].ended:
	case <-time.After(20 * time.Second):
		t.Fatal("a closed terminal is read on")
	}
	target.stdin.write([]byte("x"))
	until(t, "there is an echo", func() bool { return waiting(target.console) > 0 })
	drained := make(chan struct{})
	go func() { target.drain(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(20 * time.Second):
		t.Error("what nobody will read is waited for")
	}
}
