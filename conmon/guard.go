package conmon

import (
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// patience is how long a process of exec may take to start before anybody looks
// whether it is still wanted.
const patience = time.Second

// guard ends a stage of exec that comes to no end. The stage lives in the container's
// PID namespace, where root of the container may stop it (SIGSTOP), and what it
// opens there may be served by the container; the shim's main thread waits for it.
// It is killed once its client has left, its time is over, or the container's first
// process has ended.
type guard struct {
	stage  int           // pidfd; -1 before the stage exists
	init   int           // pidfd of the container's first process
	client *wire.Conn    // nil: nobody waits for it
	limit  time.Duration // after which it is unwanted; 0 is without end
	begun  time.Time
	over   chan struct{}
	watch  *time.Timer
	done   chan struct{}
}

// created is told the stage's process id while nobody can have reaped it.
func (g *guard) created(pid int) error {
	stage, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	g.begun = time.Now()
	g.stage, g.over, g.done = stage, make(chan struct{}), make(chan struct{})
	g.watch = time.AfterFunc(patience, func() {
		defer close(g.done)
		g.keep()
	})
	return nil
}

// keep looks twice a second; it is rare enough.
func (g *guard) keep() {
	for {
		select {
		case <-g.over:
			return
		default:
		}
		if g.unwanted() {
			unix.PidfdSendSignal(g.stage, unix.SIGKILL, nil, 0)
			return
		}
	}
}

func (g *guard) unwanted() bool {
	if g.limit > 0 && time.Since(g.begun) > g.limit {
		return true
	}
	ends := []unix.PollFd{{Fd: int32(g.init), Events: unix.POLLIN}}
	if g.client == nil {
		return hasEnded(ends)
	}
	is := false
	err := g.client.Control(func(fd uintptr) {
		is = hasEnded(append(ends, unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP}))
	})
	return is || err != nil
}

// hasEnded waits half a second for an event.
func hasEnded(ends []unix.PollFd) bool {
	n, err := unix.Poll(ends, 500)
	return err == nil && n > 0
}

// release is called when the start has come to its end.
func (g *guard) release() {
	if g.stage < 0 {
		return
	}
	close(g.over)
	if !g.watch.Stop() {
		<-g.done
	}
	unix.Close(g.stage)
}
