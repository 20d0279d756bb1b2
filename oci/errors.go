package oci

import (
	"errors"
	"fmt"

	"github.com/skiff-containers/skiff/userns"
)

// The exit codes with which Docker tells why a process could not be started.
const (
	codeSetup         = 125 // the runtime could not make what was asked for
	codeNotExecutable = 126
	codeNotFound      = 127
)

// Error is why a process could not be started, in words for the user. It is the
// type of every error of [Launch.Start] and [Exec.Start].
type Error struct {
	Code int    // Docker's exit code: 125, 126 or 127
	Text string // lower case, without a full stop
	Hint string // what mends it, where that is known
}

func (e *Error) Error() string { return e.Text }

// asError puts any error into the form in which it travels.
func asError(err error) *Error {
	var own *Error
	if errors.As(err, &own) && own == err {
		return own
	}
	e := &Error{Code: codeSetup, Text: err.Error()}
	var host *userns.HostError
	switch {
	case own != nil: // wrapped in more words
		e.Code, e.Hint = own.Code, own.Hint
	case errors.As(err, &host):
		e.Hint = host.Hint
	}
	return e
}

// hinted is a failed preparation with the way to mend it.
func hinted(hint, format string, args ...any) error {
	return &userns.HostError{What: fmt.Sprintf(format, args...), Hint: hint}
}

// because is hinted with a cause.
func because(err error, hint, format string, args ...any) error {
	return &userns.HostError{What: fmt.Sprintf(format, args...), Hint: hint, Err: err}
}
