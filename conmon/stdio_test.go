package conmon

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
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
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// The kernel brings what is written to a terminal to its master later, on a thread of its own.
func TestLastWordsInATerminalAreHeard(t *testing.T) {
	t.Parallel()
	for round := range 300 {
		master, slave := openTerminal(t)
		target := newTarget(&stdio{}, master, nil, nil, nil)
		heard := &capture{room: 100}
		target.hub.capture = heard
		target.pump()
		slave.WriteString("last words")
		if round%2 == 1 { // the others are kept by somebody in the background
			slave.Close()
		}
		target.drain()
		slave.Close()
		if heard.text() != "last words" {
			t.Fatalf("round %d: %q is heard", round, heard.text())
		}
	}
}

// A terminal's master may tell of the end although something was written before it
// (n_tty_read looks for what is there first, and for the end afterwards). The echo of
// what is typed has the pump read at the right moment: without a second look a tenth of
// the rounds fails.
func TestLastWordsBesideTheEndOfATerminalAreHeard(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for round := range 200 {
				master, slave := openTerminal(t)
				target := newTarget(&stdio{}, master, nil, nil, nil)
				heard := &capture{room: 100}
				target.hub.capture = heard
				target.pump()
				target.stdin.write([]byte("x"))
				for target.outputs[0].taken.Load() == 0 {
					runtime.Gosched()
				}
				slave.WriteString("last words")
				slave.Close()
				<-target.outputs[0].ended
				target.drain()
				if !strings.HasSuffix(heard.text(), "last words") {
					t.Errorf("round %d: %q is heard", round, heard.text())
					return
				}
			}
		})
	}
	all.Wait()
}

// What is typed into a terminal that its process has just closed is echoed, and nobody
// will ever read that.
func TestEchoInAClosedTerminalHoldsNothingUp(t *testing.T) {
	t.Parallel()
	master, slave := openTerminal(t)
	target := newTarget(&stdio{}, master, nil, nil, nil)
	target.pump()
	slave.Close()
	select {
	case <-target.outputs[0].ended:
	case <-time.After(enough):
		t.Fatal("a closed terminal is read on")
	}
	target.stdin.write([]byte("x"))
	until(t, "there is an echo", func() bool { return waiting(target.console) > 0 })
	drained := make(chan struct{})
	go func() { target.drain(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(enough):
		t.Error("what nobody will read is waited for")
	}
}

// A pipe may get to somebody who outlives its process, into another container as well, and
// who never stops to write. The process's end does not wait for that.
func TestFloodInAPipeHoldsNothingUp(t *testing.T) {
	t.Parallel()
	io := &stdio{}
	if err := io.pipe(1); err != nil {
		t.Fatal(err)
	}
	flood, from := io.theirs[1], io.ours[1]
	defer flood.Close()
	go func() {
		for b := make([]byte, 4<<10); ; {
			if _, err := flood.Write(b); err != nil {
				return
			}
		}
	}()
	o := &output{from: from, ended: make(chan struct{})}
	done := make(chan struct{})
	until(t, "the pipe is full", func() bool { return waiting(from) == 64<<10 })
	go func() { o.spread(); close(done) }()
	b := make([]byte, 4<<10)
	for end := time.Now().Add(enough); time.Now().Before(end); {
		select {
		case <-done:
			from.Close()
			return
		default:
		}
		if waiting(from) < 64<<10 { // pipe(7): so it never runs empty
			time.Sleep(time.Millisecond)
			continue
		}
		n, err := from.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		o.taken.Add(int64(n))
	}
	t.Error("the flood is waited for")
	from.Close()
}
