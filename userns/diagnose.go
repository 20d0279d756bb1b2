package userns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// HostError is something that the host lacks or forbids, with the way to mend it.
// The command line prints Hint on a line of its own.
type HostError struct {
	What string // what is wrong, lower case, without a full stop
	Hint string // the command, sysctl or package that mends it
	Err  error  // the cause, where there is one
}

func (e *HostError) Error() string {
	if e.Err != nil {
		return e.What + ": " + e.Err.Error()
	}
	return e.What
}
func (e *HostError) Unwrap() error { return e.Err }

func noSubordinate(name string, uid int, file string) error {
	who := name
	if who == "" {
		who = fmt.Sprint(uid)
	}
	return &HostError{
		What: fmt.Sprintf("user %q has no subordinate ids in %s", who, file),
		Hint: fmt.Sprintf("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", who),
	}
}

// checkHelpers tells whether newuidmap and newgidmap can do their work.
func checkHelpers() error {
	for _, name := range []string{"newuidmap", "newgidmap"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return &HostError{What: name + " is not installed", Hint: "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora, Arch, openSUSE)"}
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return &HostError{What: "inspecting " + path, Err: err}
		}
		if st.Mode&unix.S_ISUID == 0 && !hasFileCapabilities(path) {
			return &HostError{What: path + " is neither set-uid root nor has it file capabilities", Hint: "sudo chmod u+s " + path}
		}
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && v == 1 {
		return &HostError{What: "newuidmap has no effect under no_new_privs", Hint: "start skiff outside the sandbox or service that sets NoNewPrivileges"}
	}
	return nil
}

func hasFileCapabilities(path string) bool {
	n, err := unix.Getxattr(path, "security.capability", nil)
	return err == nil && n > 0
}

// Explain turns the error of a process that could not get a user namespace into
// its cause on this host, with a hint. Errors that it does not know come back as they are.
func Explain(err error) error {
	return thisHost().explain(err)
}

// host is what Explain asks.
type host struct {
	sysctl     func(path string) string // content, or "" where it is not there
	namespaces bool                     // the kernel has user namespaces
}

func thisHost() host {
	_, err := os.Stat("/proc/self/ns/user")
	return host{readSysctl, err == nil}
}

func (h host) explain(err error) error {
	var start *StartError
	creating := errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES)
	if !creating {
		return err
	}
	if errors.As(err, &start) {
		// AppArmor lets the namespace be made, and takes the capabilities in it away.
		switch start.Step {
		case stepNames[stepUnshare], stepNames[stepRoot], stepNames[stepProgram]:
		default:
			return err
		}
	}
	var known *HostError
	if errors.As(err, &known) {
		return err
	}
	switch {
	case !h.namespaces:
		return &HostError{What: "this kernel has no user namespaces", Hint: "use a kernel with CONFIG_USER_NS", Err: err}
	case h.sysctl("/proc/sys/user/max_user_namespaces") == "0":
		return &HostError{What: "user namespaces are switched off", Hint: "sudo sysctl -w user.max_user_namespaces=15000", Err: err}
	case h.sysctl("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return &HostError{What: "user namespaces are switched off for ordinary users", Hint: "sudo sysctl -w kernel.unprivileged_userns_clone=1", Err: err}
	case h.sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return &HostError{What: "AppArmor forbids user namespaces to programs without a profile", Hint: appArmorHint(), Err: err}
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS):
		return &HostError{What: "the limit on user namespaces is reached", Hint: "sudo sysctl -w user.max_user_namespaces=15000", Err: err}
	case errors.Is(err, unix.EINVAL) && start == nil:
		return &HostError{What: "this kernel has no user namespaces", Hint: "use a kernel with CONFIG_USER_NS", Err: err}
	}
	return err
}

func appArmorHint() string {
	program, err := os.Executable()
	if err != nil {
		program = "/usr/local/bin/skiff"
	}
	return fmt.Sprintf("give skiff a profile: printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile skiff %s flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/skiff && sudo apparmor_parser -r /etc/apparmor.d/skiff", program)
}

func readSysctl(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// explainHelper tells the causes of a failing newuidmap apart by what it prints.
func explainHelper(name string, args []string, output string, err error) error {
	e := &HostError{What: fmt.Sprintf("mapping ids by %s", name), Err: err}
	if output != "" {
		e.Err = errors.New(output)
	}
	switch {
	case strings.Contains(output, "not allowed"), strings.Contains(output, "open of uid_map failed"):
		e.Hint = "compare /etc/subuid and /etc/subgid with the ranges asked for: " + strings.Join(args[1:], " ")
	case strings.Contains(output, "Target process"), strings.Contains(output, "owned by a different user"):
		e.Hint = "the primary group differs from the one in /etc/passwd (newgrp, sg): start skiff from a fresh login"
	case strings.Contains(output, "Operation not permitted"):
		e.Hint = "is " + name + " set-uid root, and its file system not mounted nosuid?"
	}
	return e
}

// explainMapping is for maps written without a helper.
func explainMapping(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	if explained := Explain(err); explained != err {
		return explained
	}
	return &HostError{What: "the kernel refused the id mapping", Hint: "an AppArmor or seccomp policy of an outer container may forbid it", Err: err}
}
