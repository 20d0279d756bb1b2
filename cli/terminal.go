package cli

import (
	"fmt"
	"os"
	"os/signal"
	"sync"

	"github.com/skiff-containers/skiff/run"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the user's terminal on stdin, as package run wants it. Whatever
// way the command ends, Main gives the terminal back as it was.
type terminal struct {
	f *os.File // nil: stdin is none

	mu      sync.Mutex
	before  *term.State
	resized chan struct{}
	winch   chan os.Signal
}

var _ run.Terminal = (*terminal)(nil)

// terminalState returns the terminal of the process, there or not.
func (s *streams) terminalState() *terminal {
	if s.tty == nil {
		s.tty = &terminal{}
		if isTerminal(s.In) {
			s.tty.f = s.In
		}
	}
	return s.tty
}

// forRun are the streams as package run takes them.
func (s *streams) forRun() run.Streams {
	streams := run.Streams{In: s.In, Out: s.Out, Err: s.Err}
	if t := s.terminalState(); t.f != nil {
		streams.Terminal = t
	}
	return streams
}

// Size returns 0, 0 where it cannot be told.
func (t *terminal) Size() (rows, columns uint16) {
	size, err := unix.IoctlGetWinsize(int(t.f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return size.Row, size.Col
}

// Resized has an element whenever the size may have changed (SIGWINCH).
func (t *terminal) Resized() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resized == nil {
		t.resized = make(chan struct{}, 1)
		t.winch = make(chan os.Signal, 1)
		signal.Notify(t.winch, unix.SIGWINCH)
		go forwardResizes(t.winch, t.resized)
	}
	return t.resized
}

func forwardResizes(from <-chan os.Signal, to chan<- struct{}) {
	for range from {
		select {
		case to <- struct{}{}:
		default: // one that was not yet looked at stands for this one too
		}
	}
}

// Raw hands keystrokes on as they are typed. restore may be called more than once.
func (t *terminal) Raw() (restore func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil {
		before, err := term.MakeRaw(int(t.f.Fd()))
		if err != nil {
			return nil, fmt.Errorf("making the terminal raw: %w", err)
		}
		t.before = before
	}
	return t.restore, nil
}

// hide stops showing what is typed.
func (t *terminal) hide() (restore func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil {
		if t.before, err = term.GetState(int(t.f.Fd())); err != nil {
			return nil, fmt.Errorf("inspecting the terminal: %w", err)
		}
	}
	modes, err := unix.IoctlGetTermios(int(t.f.Fd()), unix.TCGETS)
	if err == nil {
		modes.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(t.f.Fd()), unix.TCSETS, modes)
	}
	if err != nil {
		return nil, fmt.Errorf("hiding what is typed: %w", err)
	}
	return t.restore, nil
}

// restore gives the terminal back as it was before Raw or hide.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before != nil {
		term.Restore(int(t.f.Fd()), t.before)
		t.before = nil
	}
}
