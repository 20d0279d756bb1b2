package run

import (
	"errors"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/userns"
)

// hintOf finds the hint in a chain of errors.
func hintOf(err error) string {
	var host *userns.HostError
	if errors.As(err, &host) {
		return host.Hint
	}
	var failure *conmon.Failure
	if errors.As(err, &failure) {
		return failure.Hint
	}
	return ""
}
