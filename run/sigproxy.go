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
	signal.Notify(p.incoming, proxied()...)
	go func() {
		for {
			select {
			case s := <-p.incoming:
				if n, ok := s.(unix.Signal); ok {
					p.arrived <- int(n)
				}
			case <-p.quit:
				return
			}
		}
	}()
	return p
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
		if !signal.Ignored(n) {
			all = append(all, n)
		}
	}
	return all
}

func (p *signalProxy) stop() {
	if p.active {
		signal.Stop(p.incoming)
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
