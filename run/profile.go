package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/skiff-containers/skiff/run/seccomp"
	"github.com/skiff-containers/skiff/userns"
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
	f, err := seccomp.Load([]byte(s.seccomp), caps)
	if err != nil {
		return nil, err
	}
	if f.Notify {
		return nil, &userns.HostError{What: "the seccomp profile asks a supervisor (SCMP_ACT_NOTIFY), which skiff's own runtime connects no container with", Hint: "choose one that does, such as --runtime crun"}
	}
	return f.Program, nil
}

// filterFlags are how the filter of kept options is installed, SECCOMP_FILTER_FLAG_*.
func filterFlags(kept []string) (flags uint32, err error) {
	for _, option := range kept {
		text, found := strings.CutPrefix(option, "seccomp=")
		if !found {
			continue
		}
		flags = 0 // the last one counts
		if !strings.HasPrefix(text, "{") {
			continue
		}
		p, err := seccomp.Profile(text, nil)
		if err != nil || p == nil {
			return 0, err
		}
		if flags, _, err = seccomp.Installation(p); err != nil {
			return 0, err
		}
	}
	return flags, nil
}
