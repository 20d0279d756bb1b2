package run

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// signalProxy collects the signals that this process gets, for a container.
type signalProxy struct {
	active   bool
	incoming chan os.Signal
	arrived  chan int
	quit     chan struct{}
	ends     int // how many asked for the end
}

// proxy begins to collect signals, from before the container runs, so that none
// falls between. With on false nothing is collected.
func (e *Engine) proxy(on bool) *signalProxy {
	p := &signalProxy{active: on}
	if !on {
		return p
	}
	p.incoming, p.arrived, p.quit = make(chan os.Signal, 32), make(chan int, 32), make(chan struct{})
	signal.Notify(p.incoming, unignored(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)...)
	go func() {
		// Each costs some system calls; these are rare enough to come a moment later.
		signal.Notify(p.incoming, proxied()...)
		for {
			select {
			case s := <-p.incoming:
				if n, ok := s.(unix.Signal); ok {
					p.arrived <- int(n)
				}
			case <-p.quit:
				signal.Stop(p.incoming)
				return
			}
		}
	}()
	return p
}

// during carries out the start of a process, which cannot be interrupted: what
// arrives meanwhile is handed to the process afterwards, unless it is enough.
func (p *signalProxy) during(start func() (*conmon.Session, error)) (*conmon.Session, error) {
	if !p.active {
		return start()
	}
	type started struct {
		session *conmon.Session
		err     error
	}
	done := make(chan started, 1)
	go func() {
		session, err := start()
		done <- started{session, err}
	}()
	var waiting []int
	for {
		select {
		case s := <-done:
			for _, n := range waiting {
				if s.err == nil {
					s.session.Signal(n)
				}
			}
			return s.session, s.err
		case n := <-p.arrived:
			if waiting = append(waiting, n); p.enough(n) {
				return nil, &conmon.Failure{Code: 1, Text: fmt.Sprintf("got %d signals to end while the process is being started", enoughSignals)}
			}
		}
	}
}

// proxied are all signals that can be caught, but those that concern this process
// itself: its children, its pipes, its place before a terminal, the terminal's
// size, and SIGURG, which the Go runtime sends itself. Ignored ones (nohup) stay so.
func proxied() []os.Signal {
	var all []os.Signal
	for n := unix.Signal(1); n <= signalRTMax; n++ {
		switch n {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH, unix.SIGURG,
			unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGPROF, 32, 33:
			continue
		}
		all = append(all, unignored(n)...)
	}
	return all
}

func unignored(signals ...unix.Signal) (all []os.Signal) {
	for _, s := range signals {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// stop gives the signals back, in the background: a process that exits need not wait for it.
func (p *signalProxy) stop() {
	if p.active {
		close(p.quit)
	}
}

// enoughSignals is how many Ctrl-C end skiff itself, as with docker.
const enoughSignals = 3

// enough counts the signals that ask for the end, of which a container may ignore as many as it likes.
func (p *signalProxy) enough(s int) bool {
	if s == int(unix.SIGINT) || s == int(unix.SIGTERM) {
		p.ends++
	}
	return p.ends >= enoughSignals
}

func tooManySignals(c *store.Container) error {
	return &conmon.Failure{
		Code: 1,
		Text: fmt.Sprintf("got %d signals to end while container %.12s goes on; it is left running", enoughSignals, c.ID),
		Hint: fmt.Sprintf("skiff kill %.12s", c.ID),
	}
}
