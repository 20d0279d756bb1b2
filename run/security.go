package run

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/userns"
)

// security is what --security-opt asks for.
type security struct {
	noNewPrivileges bool
	mask            []string // further paths to hide
	unmask          []string // paths, or patterns of path.Match, that are neither hidden nor read-only; "ALL"
	proc            []string // options of /proc
	seccomp         string   // "" or "builtin", "unconfined", or a profile's JSON
	appArmor        string   // a profile of the host's, "" is the caller's
}

// unmaskAll is unmask=ALL, which systempaths=unconfined says as well.
const unmaskAll = "ALL"

// parseSecurity reads --security-opt KEY=VALUE (KEY:VALUE too, as Docker takes
// it). The options come back as they are kept: a profile's file by its content.
func parseSecurity(options []string) (s security, kept []string, err error) {
	for _, option := range options {
		key, value, given := strings.Cut(option, "=")
		if !given {
			key, value, given = strings.Cut(option, ":")
		}
		keep, err := s.set(option, key, value, given)
		if err != nil {
			return s, nil, err
		}
		kept = append(kept, keep)
	}
	return s, kept, nil
}

// set reads one option and returns it as it is kept.
func (s *security) set(option, key, value string, given bool) (keep string, err error) {
	switch key {
	case "no-new-privileges":
		s.noNewPrivileges = true
		if given {
			if s.noNewPrivileges, err = strconv.ParseBool(value); err != nil {
				return "", fmt.Errorf("parsing security option %q: %q is neither true nor false", option, value)
			}
		}
	case "seccomp":
		if s.seccomp, err = readProfile(value); err != nil {
			return "", fmt.Errorf("parsing security option %q: %w", option, err)
		}
		return "seccomp=" + s.seccomp, nil
	case "label":
		return option, checkLabel(option, value)
	case "apparmor":
		return option, s.setAppArmor(option, value)
	case "systempaths":
		if value != "unconfined" {
			return "", fmt.Errorf("parsing security option %q: only systempaths=unconfined is known", option)
		}
		s.unmask = append(s.unmask, unmaskAll)
	case "mask":
		s.mask, err = appendPaths(s.mask, option, value)
	case "unmask":
		if strings.EqualFold(value, unmaskAll) {
			s.unmask = append(s.unmask, unmaskAll)
			return option, nil
		}
		s.unmask, err = appendPaths(s.unmask, option, value)
	case "proc-opts":
		s.proc, err = procOptions(option, value)
	default:
		return "", fmt.Errorf("invalid --security-opt: %q", option)
	}
	return option, err
}

// appendPaths reads the paths of mask= and unmask=, with colons between.
func appendPaths(to []string, option, value string) ([]string, error) {
	for _, name := range strings.Split(value, ":") {
		if _, err := path.Match(name, "/"); err != nil || !path.IsAbs(name) {
			return nil, fmt.Errorf("parsing security option %q: %q is not an absolute path", option, name)
		}
		to = append(to, path.Clean(name))
	}
	return to, nil
}

// procOptions are those of proc(5) that a mount takes.
func procOptions(option, value string) ([]string, error) {
	var all []string
	for _, o := range strings.Split(value, ",") {
		key, _, valued := strings.Cut(o, "=")
		if !valued || key != "hidepid" && key != "gid" && key != "subset" {
			return nil, fmt.Errorf("parsing security option %q: /proc takes hidepid=, gid= and subset=", option)
		}
		all = append(all, o)
	}
	return all, nil
}

// checkLabel refuses whatever would set an SELinux label: containers have the caller's,
// and must not seem to be confined by another one.
func checkLabel(option, value string) error {
	name, _, _ := strings.Cut(value, ":")
	switch name {
	case "disable":
		return nil
	case "user", "role", "type", "level", "filetype", "nested":
	default:
		return fmt.Errorf("parsing security option %q: labels are disable, user:, role:, type:, level:, filetype: and nested", option)
	}
	what := "this host has no SELinux"
	if selinuxEnabled() {
		what = "SELinux labels are not supported, containers have the caller's"
	}
	return &userns.HostError{What: fmt.Sprintf("security option %q: %s", option, what), Hint: "leave it out, or say label=disable"}
}

// setAppArmor: without a profile named, containers run under the caller's. One that is
// named must be loaded, which is root's to do; and where there is no AppArmor a container
// must not seem confined. To be unconfined is a change only for a caller who is not.
func (s *security) setAppArmor(option, profile string) error {
	if profile == oci.Unconfined && !oci.AppArmorConfined() {
		s.appArmor = ""
		return nil
	}
	if !oci.AppArmor() {
		return &userns.HostError{What: fmt.Sprintf("security option %q: this host has no AppArmor", option), Hint: "leave it out, or say apparmor=unconfined"}
	}
	if profile == "" {
		return fmt.Errorf("parsing security option %q: it names no profile", option)
	}
	s.appArmor = profile
	return nil
}

// appArmorOf is the profile that kept options name.
func appArmorOf(kept []string) (profile string) {
	for _, option := range kept {
		if name, ok := strings.CutPrefix(strings.Replace(option, ":", "=", 1), "apparmor="); ok {
			profile = name
		}
	}
	return profile
}

// hidden are the paths that a container does not see, and those that it can only
// read.
func (s security) hidden(privileged bool) (masked, readonly []string) {
	masked = append(masked, s.mask...)
	if privileged {
		return masked, nil
	}
	for _, name := range maskedPaths() {
		if !s.unmasks(name) {
			masked = append(masked, name)
		}
	}
	for _, name := range readonlyPaths {
		if !s.unmasks(name) {
			readonly = append(readonly, name)
		}
	}
	return masked, readonly
}

func (s security) unmasks(name string) bool {
	for _, pattern := range s.unmask {
		if match, _ := path.Match(pattern, name); match || pattern == unmaskAll {
			return true
		}
	}
	return false
}
