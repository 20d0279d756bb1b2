package conmon

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// stdio are the two sides of a process's standard streams.
type stdio struct {
	theirs [3]*os.File // become 0, 1 and 2; nil is /dev/null
	ours   [3]*os.File // the other ends, nil where there is none
	direct [3]bool     // theirs came from outside and is not ours to close
}

// newStdio makes a pipe for each stream that is not handed over directly and, for
// stdin, wanted. A process with a terminal needs none: the runtime makes it one.
func newStdio(process *specs.Process, stdin bool, direct [3]*os.File) (io *stdio, err error) {
	io = &stdio{}
	if process.Terminal {
		return io, nil
	}
	defer func() {
		if err != nil {
			io.closeTheirs()
			io.closeOurs()
		}
	}()
	for i := range io.theirs {
		if direct[i] != nil {
			io.theirs[i], io.direct[i] = direct[i], true
			continue
		}
		if i == 0 && !stdin {
			continue
		}
		if err := io.pipe(i); err != nil {
			return nil, err
		}
	}
	return io, nil
}

// pipe makes stream i a pipe. Only our end is non-blocking: the flag belongs to
// the open file description, and a process that finds EAGAIN on its stdout breaks.
func (io *stdio) pipe(i int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("opening a pipe: %w", err)
	}
	theirs, ours := ends[1], ends[0]
	if i == 0 {
		theirs, ours = ends[0], ends[1]
	}
	unix.SetNonblock(ours, true)
	io.theirs[i] = os.NewFile(uintptr(theirs), "pipe")
	io.ours[i] = os.NewFile(uintptr(ours), "pipe")
	return nil
}

// own gives the pipes to the process's user, who could not open /dev/stdout
// otherwise. The caller's own stay the caller's, and where ids are not mapped so do ours.
func (io *stdio) own(owner specs.User) {
	for i, f := range io.theirs {
		if f != nil && !io.direct[i] {
			f.Chown(int(owner.UID), int(owner.GID))
		}
	}
}

func (io *stdio) closeTheirs() {
	for i, f := range io.theirs {
		if f != nil && !io.direct[i] {
			f.Close()
		}
	}
}

func (io *stdio) closeOurs() { wire.CloseAll(io.ours[:]) }

// target is a process that clients can be connected to.
type target struct {
	hub     *hub
	stdin   *input
	console *os.File // master of its terminal, or nil
	outputs []*output
	ended   <-chan unix.WaitStatus
	signal  func(unix.Signal) error
	resize  sync.Mutex
}

type output struct {
	from  *os.File
	to    stream
	taken atomic.Int64    // bytes that were read
	ended <-chan struct{} // closed when nobody reads it any more
}

// newTarget takes over our ends of the streams and the console.
func newTarget(io *stdio, console *os.File, log *logWriter, ended <-chan unix.WaitStatus, signal func(unix.Signal) error) *target {
	t := &target{hub: &hub{log: log}, stdin: &input{}, ended: ended, signal: signal}
	if console != nil {
		t.console = pollable(console)
		t.stdin.file = t.console
		t.outputs = []*output{{from: t.console, to: stdoutStream}}
		return t
	}
	t.stdin.file = io.ours[0]
	if io.ours[1] != nil {
		t.outputs = append(t.outputs, &output{from: io.ours[1], to: stdoutStream})
	}
	if io.ours[2] != nil {
		t.outputs = append(t.outputs, &output{from: io.ours[2], to: stderrStream})
	}
	return t
}

// pollable gives a file whose reads wait in the poller instead of a thread.
func pollable(f *os.File) *os.File {
	var fd int
	raw, err := f.SyscallConn()
	if err == nil {
		err2 := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
		if err2 != nil {
			err = err2
		}
	}
	if err != nil {
		return f
	}
	f.Close()
	unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "console")
}

// pump starts to read what the process writes.
func (t *target) pump() {
	for _, o := range t.outputs {
		o.ended = t.hub.pump(o)
	}
}

// drain returns once all that the process wrote before its end was spread. It
// does not wait for others that hold the same pipe and may hold it for ever.
func (t *target) drain() {
	for _, o := range t.outputs {
		o.spread()
		o.from.SetReadDeadline(time.Now())
	}
	t.hub.drained()
	for _, o := range t.outputs {
		o.from.Close()
	}
	t.stdin.close()
	if t.hub.log != nil {
		t.hub.log.close()
	}
}

// spread returns when what waited to be read has been: a slow client holds the pump up.
// Others may write on and on, so it does not wait for more than there was, and what the
// pump had in its hands. In a terminal that the process has closed something may wait
// for ever: the echo of what a client still typed.
func (o *output) spread() {
	enough := int64(waiting(o.from)) + wire.MaxData
	enough += o.taken.Load() // afterwards: too much is better than too little
	for waiting(o.from) > 0 && o.taken.Load() < enough {
		select {
		case <-o.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// waiting counts the bytes that can be read (FIONREAD); none when the other end is closed.
// What is written to a terminal gets to its master later, by a thread of the kernel's:
// poll waits for that one, and the count does not (n_tty_poll).
func waiting(f *os.File) (n int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		userns.Retried(func() error {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return err
		})
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	})
	if err != nil {
		return 0
	}
	return n
}

// giveTo makes the size that of the process's terminal from its first moment on: a
// shell asks for it before we could set it.
func (size Size) giveTo(process *specs.Process) {
	if size != (Size{}) {
		process.ConsoleSize = &specs.Box{Height: uint(size.Rows), Width: uint(size.Columns)}
	}
}

func (t *target) setSize(size Size) {
	t.resize.Lock()
	defer t.resize.Unlock()
	if t.console == nil || size.Rows == 0 && size.Columns == 0 {
		return
	}
	raw, err := t.console.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	})
}
