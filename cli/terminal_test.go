package cli

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// pseudoTerminal opens a pair (pts(4)); what is written to user is typed.
func pseudoTerminal(t *testing.T) (user, tty *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return user, tty
}

func modes(t *testing.T, f *os.File) uint32 {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag
}

func TestTerminal(t *testing.T) {
	_, tty := pseudoTerminal(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 41, Col: 97}); err != nil {
		t.Fatal(err)
	}
	s := &streams{In: tty, Out: tty, Err: tty}
	terminal := s.forRun().Terminal
	if rows, columns := terminal.Size(); rows != 41 || columns != 97 {
		t.Errorf("%d rows, %d columns", rows, columns)
	}
	before := modes(t, tty)
	restore, err := terminal.Raw()
	if err != nil {
		t.Fatal(err)
	}
	if modes(t, tty)&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 {
		t.Error("not raw")
	}
	restore()
	restore()
	if modes(t, tty) != before {
		t.Error("not restored")
	}
	if s := (&streams{In: os.Stdin}); !isTerminal(os.Stdin) && s.forRun().Terminal != nil {
		t.Error("a terminal where there is none")
	}
}

func TestTerminalIsRestoredAfterPanic(t *testing.T) {
	_, tty := pseudoTerminal(t)
	p, _, _ := testProgram(t)
	p.In = tty
	before := modes(t, tty)
	code := 0
	func() {
		defer p.recoverPanic(&code)
		defer p.terminalState().restore()
		if _, err := p.terminalState().Raw(); err != nil {
			t.Fatal(err)
		}
		panic("in raw mode")
	}()
	if code != 125 || modes(t, tty) != before {
		t.Errorf("code %d, modes %o, before %o", code, modes(t, tty), before)
	}
}

func TestResizesAreTold(t *testing.T) {
	_, tty := pseudoTerminal(t)
	resized := (&streams{In: tty}).forRun().Terminal.Resized()
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	<-resized
}

func TestAskSecret(t *testing.T) {
	user, tty := pseudoTerminal(t)
	p, _, stderr := testProgram(t)
	p.In = tty
	before := modes(t, tty)
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer)
	go func() {
		text, err := p.askSecret(context.Background(), "Password: ")
		answers <- answer{text, err}
	}()
	if _, err := user.WriteString("secret\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.text != "secret" || a.err != nil {
		t.Errorf("got %q, %v", a.text, a.err)
	}
	if stderr() != "Password: \n" || modes(t, tty) != before {
		t.Errorf("stderr %q, modes %o, before %o", stderr(), modes(t, tty), before)
	}
}

func TestAskWithoutTerminal(t *testing.T) {
	p, _, stderr := testProgram(t)
	if _, err := p.ask(context.Background(), "Username: "); !errors.Is(err, errNoPrompt) || stderr() != "" {
		t.Errorf("got %v, %q", err, stderr())
	}
}
