package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moby/term"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// defaultDetachKeys are Docker's.
const defaultDetachKeys = "ctrl-p,ctrl-q"

// detachKeys parses --detach-keys; "" is the default.
func detachKeys(text string) ([]byte, error) {
	if text == "" {
		text = defaultDetachKeys
	}
	keys, err := term.ToBytes(text)
	if err != nil {
		return nil, &userns.HostError{
			What: fmt.Sprintf("parsing detach keys %q", text),
			Hint: `keys are single characters, or "ctrl-" and one of a-z, @, [, \\, ], ^ and _, with commas between`,
			Err:  errors.New("there is no such key"),
		}
	}
	return keys, nil
}

// pump connects the caller with a process until one of them leaves:
//
//	stdin ── detach keys ──▶ session        output, exit code ◀── session
//	signals, terminal size ─▶
type pump struct {
	engine    *Engine
	container *store.Container
	session   *conmon.Session
	options   *AttachOptions
	attach    conmon.Attach
	direct    [3]*os.File // passed on: nothing to copy
	tty       bool
	keys      []byte
	signals   *signalProxy
}

// errDetached says that the detach keys were typed.
var errDetached = errors.New("detached")

// run returns when the process has ended or the caller left it.
func (p *pump) run(ctx context.Context) (Outcome, error) {
	restore, err := p.raw()
	if err != nil {
		p.session.Close()
		return Outcome{}, err
	}
	defer restore()
	left := make(chan error, 3) // why the caller leaves
	done := make(chan struct{})
	defer close(done)
	if p.attach.Stdin && p.direct[0] == nil {
		go p.input(left)
	}
	p.watch(ctx, left, done)
	ended := make(chan result, 1)
	go p.output(ended)
	select {
	case r := <-ended:
		p.session.Close()
		return p.outcome(r)
	case err := <-left:
		if errors.Is(err, errDetached) {
			p.session.Detach()
			return Outcome{Detached: true}, nil
		}
		p.session.Close()
		return Outcome{}, err
	}
}

// raw hands keystrokes to the container's terminal as they are typed.
func (p *pump) raw() (restore func(), err error) {
	if !p.tty || !p.attach.Stdin || p.options.Terminal == nil {
		return func() {}, nil
	}
	return p.options.Terminal.Raw()
}

// input copies the caller's stdin. It may stay blocked in a read when the process
// has ended; this process's end ends it.
func (p *pump) input(left chan<- error) {
	var in io.Reader = p.options.In
	if p.tty {
		in = term.NewEscapeProxy(in, p.keys)
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := in.Read(buffer)
		if n > 0 && p.session.SendStdin(buffer[:n]) != nil {
			return // the other side has left, and output knows why
		}
		var escape term.EscapeError
		if errors.As(err, &escape) {
			left <- errDetached
			return
		}
		if err != nil {
			p.session.CloseStdin()
			return
		}
	}
}

// result is what the session told last.
type result struct {
	exited *conmon.Exited
	err    error
}

// output copies what the process writes, until its end.
func (p *pump) output(ended chan<- result) {
	for {
		event, err := p.session.Recv()
		if err == nil {
			switch {
			case event.Exited != nil:
				ended <- result{exited: event.Exited}
				return
			case event.Stdout != nil:
				_, err = write(p.options.Out, event.Stdout)
			case event.Stderr != nil:
				_, err = write(p.options.Err, event.Stderr)
			}
			if err != nil {
				err = fmt.Errorf("writing the container's output: %w", err)
			}
		}
		if err != nil {
			ended <- result{err: err}
			return
		}
	}
}

func write(f *os.File, data []byte) (int, error) {
	if f == nil {
		return len(data), nil
	}
	return f.Write(data)
}

// watch passes on signals and sizes, and tells when the caller has had enough.
func (p *pump) watch(ctx context.Context, left chan<- error, done <-chan struct{}) {
	var resized <-chan struct{}
	if p.tty && p.options.Terminal != nil {
		resized = p.options.Terminal.Resized()
	}
	var cancelled <-chan struct{}
	if !p.signals.active {
		cancelled = ctx.Done() // else the signal that cancelled it is the container's
	}
	if resized == nil && cancelled == nil && !p.signals.active {
		return
	}
	go func() {
		for {
			select {
			case <-done:
				return
			case <-cancelled:
				left <- ctx.Err()
				return
			case <-resized:
				rows, columns := p.options.Terminal.Size()
				p.session.Resize(conmon.Size{Rows: rows, Columns: columns})
			case s := <-p.signals.arrived:
				if p.signals.enough(s) {
					left <- tooManySignals(p.container)
					return
				}
				p.session.Signal(s)
			}
		}
	}()
}

// outcome turns the session's end into the caller's.
func (p *pump) outcome(r result) (Outcome, error) {
	switch {
	case r.exited != nil:
		return Outcome{ExitCode: r.exited.Code}, nil
	case !errors.Is(r.err, conmon.ErrGone):
		return Outcome{}, r.err
	}
	// The shim died without a word. The state, which is the one place that knows,
	// says what became of the container.
	code, text := 137, "the shim was killed, and the container with it"
	if state, err := p.container.State(); err == nil && state.Status == store.Exited {
		code = state.ExitCode
		if state.Error != "" {
			text = state.Error
		}
	}
	p.engine.say(fmt.Sprintf("container %.12s: %s", p.container.ID, text))
	return Outcome{ExitCode: code}, nil
}
