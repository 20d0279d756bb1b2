package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/conmon"
	"golang.org/x/sys/unix"
)

// Docker's exit codes (docs.docker.com/engine/containers/run/#exit-status).
const (
	codeFailed     = 1   // a command other than run and exec did not succeed
	codeSkiff      = 125 // skiff itself: a bad flag, no image, no namespace
	codeSignalBase = 128 // and the signal's number
)

// exitCode is the one table that turns an error into the exit code of the process.
// 126 and 127 come from the runtime inside of a conmon.Failure.
func exitCode(err error) int {
	var (
		status      exitStatus
		interrupted *interruption
		usage       *usageError
		launch      *launchError
		failure     *conmon.Failure
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &interrupted):
		return codeSignalBase + int(interrupted.signal)
	case errors.As(err, &usage):
		return usage.code
	case errors.As(err, &launch) && errors.As(err, &failure) && failure.Code != 0:
		return failure.Code
	case errors.As(err, &launch):
		return launch.code
	}
	return codeFailed
}

// exitStatus is how a container's process ended. It is not reported in words.
type exitStatus int

func (s exitStatus) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// outcome makes the error of a process that ended with code.
func outcome(code int) error {
	if code == 0 {
		return nil
	}
	return exitStatus(code)
}

// launchError marks the failures of a command whose exit code is else the
// container's: code is what skiff's own failures exit with.
type launchError struct {
	code int
	err  error
}

func (e *launchError) Error() string { return e.err.Error() }
func (e *launchError) Unwrap() error { return e.err }

// launching marks err as one of `run` (code 125) or `exec` (code 1), unless it is nil.
func launching(code int, err error) error {
	if err == nil {
		return nil
	}
	return &launchError{code, err}
}

// interruption is a signal that ended the command.
type interruption struct{ signal unix.Signal }

func (i *interruption) Error() string { return "interrupted by " + unix.SignalName(i.signal) }

// withInterruption returns the interruption instead of what it led to, where ctx
// ended by one.
func withInterruption(ctx context.Context, err error) error {
	var i *interruption
	if errors.As(context.Cause(ctx), &i) && (errors.Is(err, context.Canceled) || errors.Is(err, i)) {
		return i
	}
	return err
}

// untilInterrupted is for commands that go on until somebody ends them: a signal is
// told by the exit code alone.
func untilInterrupted(ctx context.Context, err error) error {
	var i *interruption
	if errors.As(context.Cause(ctx), &i) && (errors.Is(err, context.Canceled) || errors.Is(err, i)) {
		return exitStatus(codeSignalBase + int(i.signal))
	}
	return err
}

// usageError is a command line that cannot be understood: 125 for flags, 1 for
// the number of arguments, as in Docker.
type usageError struct {
	message string
	usage   string // "skiff run [OPTIONS] IMAGE …", or empty
	see     string // "skiff run"
	code    int
}

func (e *usageError) Error() string { return e.message }

func (e *usageError) text() string {
	var b strings.Builder
	b.WriteString(e.message + "\n\n")
	if e.usage != "" {
		fmt.Fprintf(&b, "Usage:  %s\n\n", e.usage)
	}
	fmt.Fprintf(&b, "See '%s --help'.", e.see)
	return b.String()
}

// silent tells whether an error is told by the exit code alone.
func silent(err error) bool {
	var status exitStatus
	return errors.As(err, &status)
}

// parts takes a joined error apart, so that each operand's failure has its own line.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}
