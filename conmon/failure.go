package conmon

import (
	"errors"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/userns"
)

// failure puts an error into the words of the wire.
func failure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	f = &Failure{Code: 125, Text: err.Error()}
	var runtimeError *oci.Error
	if errors.As(err, &runtimeError) {
		f.Code, f.Hint = runtimeError.Code, runtimeError.Hint
	}
	var host *userns.HostError
	if errors.As(err, &host) {
		f.Hint = host.Hint
	}
	return f
}
