// Package driver connects a container by another program instead of skiff's own
// networks, where the user asks for it and the host has it: pasta(1) or slirp4netns(1).
//
// They are run directly. The packages of rootlesskit that run them are for a parent
// outside of the user namespace: theirs tells pasta to enter that namespace, which it
// cannot as we are in it, leaves pasta behind without a way to end it, and needs ip(8)
// and nsenter(1) for slirp4netns.
package driver

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// The programs, which are the names of their modes too.
const (
	Pasta = "pasta"
	Slirp = "slirp4netns"
)

// Config says what is to be connected how.
type Config struct {
	Kind      string            // Pasta or Slirp
	Options   map[string]string // of --network; Pasta: its arguments under "args"
	Server    netip.Addr        // where Pasta is to answer name queries with what the host resolves
	Container *os.File          // the container's network namespace; the file stays the caller's
	Dir       string            // a folder for a socket while the program runs
	Ports     []store.Port      // to publish
}

// Running is a program that serves a container. It ends with this process.
type Running struct {
	// Ports are those published, with the host's real ones.
	Ports []store.Port

	cmd    *exec.Cmd
	ended  chan struct{}
	talk   words
	socket string // to be removed; "": there is none
}

// patience is how long a program may take until the container is connected.
const patience = 10 * time.Second

// Start connects a container, and returns when it is connected. It must be called by
// root of the user namespace that owns the container's, in the host's network namespace.
func Start(c Config) (*Running, error) {
	switch c.Kind {
	case Pasta:
		return startPasta(c)
	case Slirp:
		return startSlirp(c)
	}
	return nil, fmt.Errorf("there is no network program %q", c.Kind)
}

// Ended is closed when the program has ended: the container has no network any more.
func (r *Running) Ended() <-chan struct{} { return r.ended }

// Err tells what the program said, once it has ended.
func (r *Running) Err() error {
	if text := r.talk.String(); text != "" {
		return errors.New(text)
	}
	return errors.New("it ended without a word")
}

// Stop ends the program and returns when it has ended. Published ports are free then.
func (r *Running) Stop() {
	r.cmd.Process.Kill()
	<-r.ended
	if r.socket != "" {
		os.Remove(r.socket)
	}
}

// find looks for a program, and says which package it is in.
func find(program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &userns.HostError{
			What: fmt.Sprintf("connecting the container: %s is not installed", program),
			Hint: fmt.Sprintf("install the package %s, or leave out --network %s for skiff's own networks", pkg, program),
		}
	}
	return path, nil
}

// start runs a command until ready can be read from; both ends of ready's pipe are
// closed afterwards. The thread that starts it stays for its life, as the kernel kills
// the program with the thread.
func start(cmd *exec.Cmd, ready, done *os.File) (*Running, error) {
	defer ready.Close()
	r := &Running{cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &r.talk
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	begun := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			cmd.Wait()
			close(r.ended)
		}
	}()
	err := <-begun
	done.Close()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	ready.SetReadDeadline(time.Now().Add(patience))
	if _, err := ready.Read(make([]byte, 16)); err != nil {
		r.Stop()
		return nil, fmt.Errorf("connecting the container by %s: %w", cmd.Args[0], r.Err())
	}
	return r, nil
}

// words keep the beginning of what a program says: on its mistakes, the usage follows.
type words struct {
	mu    sync.Mutex
	first []byte
}

const maxWords = 1 << 10

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = append(w.first, b[:min(len(b), maxWords-len(w.first))]...)
	return len(b), nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(w.first) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "Usage:") {
			break
		}
		if text != "" && !strings.Contains(text, "syslog") { // pasta's complaint where there is no logger
			lines = append(lines, text)
		}
	}
	return strings.Join(lines, "; ")
}
