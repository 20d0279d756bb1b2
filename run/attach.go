package run

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Attach connects the caller to a running container until it ends or the caller detaches.
func (e *Engine) Attach(ctx context.Context, ref string, a AttachOptions) (Outcome, error) {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return Outcome{}, err
	}
	return e.attach(ctx, c, r, &a, true)
}

// attach is Attach; with tell it is an event of its own.
func (e *Engine) attach(ctx context.Context, c *store.Container, r *store.Record, a *AttachOptions, tell bool) (Outcome, error) {
	keys, err := detachKeys(a.DetachKeys)
	if err != nil {
		return Outcome{}, err
	}
	client, err := e.dial(ctx, c, r, "attach to")
	if err != nil {
		return Outcome{}, err
	}
	signals := e.proxy(a.SigProxy)
	defer signals.stop()
	want := conmon.Attach{Stdin: !a.NoStdin && r.Config.OpenStdin && a.In != nil, Stdout: true, Stderr: true, Size: sizeOf(r, a)}
	session, err := client.Attach(want)
	if err != nil {
		return Outcome{}, notRunning(r, "attach to", err)
	}
	if tell {
		e.emit(r, "attach")
	}
	p := pump{engine: e, container: c, session: session, options: a, attach: want, tty: r.Config.Tty, keys: keys, signals: signals}
	return p.run(ctx)
}

// dial connects to the shim of a container that must have processes, which run.
func (e *Engine) dial(ctx context.Context, c *store.Container, r *store.Record, what string) (*conmon.Client, error) {
	state, err := settle(ctx, c)
	if err != nil {
		return nil, err
	}
	switch state.Status {
	case store.Paused:
		return nil, &userns.HostError{What: fmt.Sprintf("cannot %s container %q: it is paused", what, r.Name), Hint: "skiff unpause " + r.Name}
	case store.Restarting:
		return nil, &userns.HostError{What: fmt.Sprintf("cannot %s container %q: it is restarting", what, r.Name), Hint: "wait until it is running"}
	}
	return dialState(c, r, what, state)
}

// dialUp connects to the shim of a container that has one.
func (e *Engine) dialUp(ctx context.Context, c *store.Container, r *store.Record, what string) (*conmon.Client, error) {
	state, err := settle(ctx, c)
	if err != nil {
		return nil, err
	}
	return dialState(c, r, what, state)
}

func dialState(c *store.Container, r *store.Record, what string, state *store.State) (*conmon.Client, error) {
	if !state.Up() {
		return nil, notRunning(r, what, conmon.ErrGone)
	}
	client, err := conmon.Dial(c)
	return client, notRunning(r, what, err)
}

// notRunning says in Docker's words that a container has ended; other errors pass.
func notRunning(r *store.Record, what string, err error) error {
	if err == nil || !errors.Is(err, conmon.ErrGone) {
		return err
	}
	return &userns.HostError{
		What: fmt.Sprintf("cannot %s container %q", what, r.Name),
		Hint: "skiff start " + r.Name,
		Err:  conmon.ErrGone,
	}
}

// wanted are the streams that the starter of a container is connected to.
func wanted(r *store.Record, a *AttachOptions) conmon.Attach {
	return conmon.Attach{
		Stdin:  r.Config.OpenStdin && !a.NoStdin && a.In != nil,
		Stdout: r.Config.AttachStdout,
		Stderr: r.Config.AttachStderr,
		Size:   sizeOf(r, a),
	}
}

func sizeOf(r *store.Record, a *AttachOptions) conmon.Size {
	if !r.Config.Tty || a.Terminal == nil {
		return conmon.Size{}
	}
	rows, columns := a.Terminal.Size()
	return conmon.Size{Rows: rows, Columns: columns}
}

// handover picks those of the caller's own descriptors that become the
// container's, so that a pipeline runs at the speed of pipes. Only a container
// that nobody attaches to later, and that has no terminal, is given any; and only
// pipes and sockets are given away. A file could be opened anew for writing by
// root in the container, who is the user; a folder leads out (CVE-2024-21626); a
// terminal takes keystrokes (TIOCSTI); so the shim copies for those.
func handover(r *store.Record, a *AttachOptions, want conmon.Attach) (direct [3]*os.File) {
	if !r.HostConfig.AutoRemove || r.Config.Tty {
		return direct
	}
	return pipesOf(a, want)
}

// pipesOf are the pipes and sockets among the streams that are wanted.
func pipesOf(a *AttachOptions, want conmon.Attach) (direct [3]*os.File) {
	wants := [3]bool{want.Stdin, want.Stdout, want.Stderr}
	for i, f := range [3]*os.File{a.In, a.Out, a.Err} {
		if wants[i] && f != nil && isPipe(f) {
			direct[i] = f
		}
	}
	return direct
}

func isPipe(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var st unix.Stat_t
	if e := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); e != nil || err != nil {
		return false
	}
	kind := st.Mode & unix.S_IFMT
	return kind == unix.S_IFIFO || kind == unix.S_IFSOCK
}
