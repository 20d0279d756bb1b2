package run

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"os/signal"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Unshare runs a command (the user's shell where there is none) as root of skiff's
// user namespace, in a mount namespace of its own, with the caller's terminal. It
// returns the command's exit code; a *[conmon.Failure] says that it was not run.
func (e *Engine) Unshare(ctx context.Context, argv []string, s Streams) (exitCode int, err error) {
	defer e.tidy()()
	if len(argv) == 0 {
		argv = []string{shell()}
	}
	path, err := exec.LookPath(argv[0])
	switch {
	case errors.Is(err, os.ErrPermission):
		return 0, &conmon.Failure{Code: 126, Text: err.Error()}
	case err != nil:
		return 0, &conmon.Failure{Code: 127, Text: err.Error()}
	}
	// The command shares our terminal, whose keys reach it as well as us: they are
	// caught, so that we outlive it. A caught signal is a default one again after exec.
	keys := make(chan os.Signal, 1)
	signal.Notify(keys, unix.SIGINT, unix.SIGQUIT)
	defer signal.Stop(keys)
	who := "unshare-" + rand.Text()
	process, entry, err := e.Store.Enter(&userns.Command{
		Path: path, Args: argv, Env: os.Environ(), Stdin: s.In, Stdout: s.Out, Stderr: s.Err,
	}, unix.CLONE_NEWNS, who)
	if err != nil {
		return 0, unshareFailure(path, err)
	}
	defer e.Store.Leave(who)
	e.tellMapping(entry)
	stop := forward(process.PID)
	defer stop()
	status, err := process.Wait()
	switch {
	case err != nil:
		return 0, err
	case status.Signaled():
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}

// unshareFailure tells a program that cannot be executed from a namespace that cannot be had.
func unshareFailure(path string, err error) error {
	var start *userns.StartError
	if errors.As(err, &start) && (start.Errno == unix.EACCES || start.Errno == unix.ENOEXEC) {
		return &conmon.Failure{Code: 126, Text: "executing " + path + ": " + start.Errno.Error()}
	}
	return err
}

// forward passes on the signals that only this process gets.
func forward(pid int) (stop func()) {
	arrived := make(chan os.Signal, 8)
	done := make(chan struct{})
	signal.Notify(arrived, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	go func() {
		for {
			select {
			case s := <-arrived:
				unix.Kill(pid, s.(unix.Signal))
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(arrived)
		close(done)
	}
}
