package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/skiff-containers/skiff/oci"
	"golang.org/x/sys/unix"
)

// onTerminal runs a command on a pseudo-terminal and talks to it as a file says,
// line by line:
//
//	expect REGEXP    wait until the terminal shows it, after what was expected before
//	send "TEXT"      type TEXT, written as a Go string: "exit\r", "\x10\x11"
//	resize RxC       give the terminal another size
//	hangup           close the terminal, as when its window is closed
//
// What was shown becomes stdout, with plain line ends.
func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	size, want := "24x80", 0
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-size":
			size = args[1]
		case "-code":
			n, err := strconv.Atoi(args[1])
			ts.Check(err)
			want = n
		default:
			ts.Fatalf("pty: unknown option %s", args[0])
		}
		args = args[2:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: pty [-size RxC] [-code N] file command…")
	}
	talk := ts.ReadFile(args[0])
	master, slave, err := openTerminal()
	ts.Check(err)
	screen := &screen{master: master, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	defer screen.close()
	ts.Check(screen.resize(size))
	cmd := command(ts, args[1:])
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	slave.Close()
	ts.Check(err)
	go screen.read()
	err = screen.follow(talk)
	if err == nil {
		err = within(patience, cmd)
	} else {
		cmd.Process.Kill()
		cmd.Wait()
	}
	<-screen.ended
	shown := screen.text()
	ts.Stdout().Write([]byte(shown))
	if have := cmd.ProcessState.ExitCode(); have != want && err == nil {
		err = fmt.Errorf("exit code is %d, want %d", have, want)
	}
	if err != nil {
		ts.Fatalf("%v; the terminal shows:\n%s", err, shown)
	}
}

// within waits for a command's end; its exit code is no error.
func within(limit time.Duration, cmd *exec.Cmd) error {
	timer := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		return fmt.Errorf("it has not ended after %v", limit)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// openTerminal makes a pseudo-terminal (pty(7)).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var n int
	err = control(master, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		}
		return err
	})
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// screen is the user's side of a terminal.
type screen struct {
	master  *os.File
	once    sync.Once
	changed chan struct{}
	ended   chan struct{} // closed when nobody writes to the terminal any more
	mu      sync.Mutex
	shown   []byte
}

func (s *screen) close() { s.once.Do(func() { s.master.Close() }) }

func (s *screen) read() {
	defer close(s.ended)
	chunk := make([]byte, 4096)
	shown := oci.ConsoleReader{Master: s.master}
	for {
		n, err := shown.Read(chunk)
		s.mu.Lock()
		s.shown = append(s.shown, chunk[:n]...)
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return // EIO: the last one has closed the other end
		}
	}
}

// text is what was shown until now.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(bytes.ReplaceAll(s.shown, []byte("\r\n"), []byte("\n")))
}

func (s *screen) follow(talk string) error {
	seen := 0
	for line := range strings.Lines(talk) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch verb {
		case "", "#":
		case "expect":
			seen, err = s.expect(rest, seen)
		case "send":
			var text string
			if text, err = strconv.Unquote(rest); err == nil {
				_, err = s.master.WriteString(text)
			}
		case "resize":
			err = s.resize(rest)
		case "hangup":
			s.close()
		default:
			err = errors.New("unknown verb")
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", verb, rest, err)
		}
	}
	return nil
}

// expect waits until the text from seen on matches, and returns the match's end.
func (s *screen) expect(pattern string, seen int) (int, error) {
	want, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return 0, err
	}
	late := time.After(patience)
	for {
		if at := want.FindStringIndex(s.text()[seen:]); at != nil {
			return seen + at[1], nil
		}
		select {
		case <-s.changed:
		case <-s.ended:
			if want.FindStringIndex(s.text()[seen:]) == nil {
				return 0, errors.New("the command ended without it")
			}
		case <-late:
			return 0, fmt.Errorf("not seen after %v", patience)
		}
	}
}

func (s *screen) resize(size string) error {
	var rows, columns uint16
	if _, err := fmt.Sscanf(size, "%dx%d", &rows, &columns); err != nil {
		return err
	}
	return control(s.master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
}

// control uses a file's descriptor without making its reads uninterruptible, as
// File.Fd does: hangup closes the file under a reader.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
		return e
	}
	return err
}
