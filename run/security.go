package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/run/seccomp"
	"github.com/skiff-containers/skiff/userns"
)

// security is what --security-opt asks for.
type security struct {
	noNewPrivileges bool
	unmasked        bool   // systempaths=unconfined
	seccomp         string // "" or "builtin", "unconfined", or a profile's JSON
}

// parseSecurity reads --security-opt KEY=VALUE (KEY:VALUE too, as Docker takes
// it). The options come back as they are kept: a profile's file by its content.
func parseSecurity(options []string) (s security, kept []string, err error) {
	for _, option := range options {
		key, value, given := strings.Cut(option, "=")
		if !given {
			key, value, given = strings.Cut(option, ":")
		}
		switch key {
		case "no-new-privileges":
			s.noNewPrivileges = true
			if given {
				if s.noNewPrivileges, err = strconv.ParseBool(value); err != nil {
					return s, nil, fmt.Errorf("parsing security option %q: %q is neither true nor false", option, value)
				}
			}
		case "seccomp":
			if s.seccomp, err = readProfile(value); err != nil {
				return s, nil, fmt.Errorf("parsing security option %q: %w", option, err)
			}
			option = "seccomp=" + s.seccomp
		case "label":
			if value != "disable" {
				return s, nil, &userns.HostError{What: fmt.Sprintf("security option %q: SELinux labels are not supported", option), Hint: "leave it out, or say label=disable"}
			}
		case "apparmor":
			if value != "unconfined" {
				return s, nil, &userns.HostError{What: fmt.Sprintf("security option %q: an ordinary user cannot put a container under an AppArmor profile", option), Hint: "leave it out, or say apparmor=unconfined"}
			}
		case "systempaths":
			if value != "unconfined" {
				return s, nil, fmt.Errorf("parsing security option %q: only systempaths=unconfined is known", option)
			}
			s.unmasked = true
		default:
			return s, nil, fmt.Errorf("invalid --security-opt: %q", option)
		}
		kept = append(kept, option)
	}
	return s, kept, nil
}

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
