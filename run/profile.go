package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/skiff-containers/skiff/run/seccomp"
)

// maxProfile bounds the file of a seccomp profile; Docker's own has 18 KB.
const maxProfile = 1 << 20

func readProfile(value string) (string, error) {
	switch {
	case value == "":
		return "", fmt.Errorf("it names no profile")
	case value == "unconfined" || value == "builtin":
		return value, nil
	case strings.HasPrefix(value, "{"):
		return value, nil
	}
	info, err := os.Stat(value)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxProfile {
		return "", fmt.Errorf("%q is not a file of at most 1 MiB", value)
	}
	text, err := os.ReadFile(value)
	if err != nil {
		return "", err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return "", fmt.Errorf("reading profile %q: %w", value, err)
	}
	return compact.String(), nil
}

// filter compiles the seccomp filter of a container; nil is none.
func (s security) filter(caps []string, privileged bool) ([]byte, error) {
	switch {
	case s.seccomp == "unconfined" || privileged && s.seccomp == "":
		return nil, nil
	case s.seccomp == "" || s.seccomp == "builtin":
		return seccomp.Default(caps)
	}
	return seccomp.Load([]byte(s.seccomp), caps)
}
