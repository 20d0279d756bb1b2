package userns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExplain(t *testing.T) {
	const (
		limit    = "/proc/sys/user/max_user_namespaces"
		clone    = "/proc/sys/kernel/unprivileged_userns_clone"
		appArmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	)
	created := func(errno error) error { return fmt.Errorf("creating namespaces: %w", errno) }
	at := func(s step, errno unix.Errno) error { return &StartError{stepNames[s], errno} }
	for _, test := range []struct {
		name    string
		err     error
		sysctl  map[string]string
		without bool   // a kernel without user namespaces
		want    string // part of What; empty where the error comes back as it is
		hint    string
	}{
		{name: "off", err: created(unix.ENOSPC), sysctl: map[string]string{limit: "0"}, want: "switched off", hint: "max_user_namespaces"},
		{name: "exhausted", err: created(unix.ENOSPC), sysctl: map[string]string{limit: "100"}, want: "limit", hint: "max_user_namespaces"},
		{name: "nested too deep or exhausted", err: created(unix.EUSERS), want: "limit", hint: "max_user_namespaces"},
		{name: "Debian's switch", err: created(unix.EPERM), sysctl: map[string]string{limit: "100", clone: "0"}, want: "ordinary users", hint: "unprivileged_userns_clone=1"},
		{name: "AppArmor at once", err: created(unix.EACCES), sysctl: map[string]string{appArmor: "1"}, want: "AppArmor", hint: "apparmor_parser"},
		{name: "AppArmor by taking capabilities", err: at(stepUnshare, unix.EPERM), sysctl: map[string]string{appArmor: "1"}, want: "AppArmor", hint: "apparmor_parser"},
		{name: "no kernel support", err: created(unix.EINVAL), want: "no user namespaces", hint: "CONFIG_USER_NS"},
		{name: "no kernel support, told by /proc", err: created(unix.EPERM), without: true, want: "no user namespaces", hint: "CONFIG_USER_NS"},
		{name: "a program that may not be executed", err: at(stepExec, unix.EACCES), sysctl: map[string]string{appArmor: "1"}},
		{name: "a holder that may not be joined", err: at(stepJoin, unix.EPERM), sysctl: map[string]string{appArmor: "1"}},
		{name: "unknown", err: created(unix.EPERM)},
		{name: "something else", err: created(unix.ENOMEM), sysctl: map[string]string{limit: "0"}},
		{name: "explained already", err: &HostError{What: "x", Err: unix.EPERM}, sysctl: map[string]string{limit: "0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := host{func(path string) string { return test.sysctl[path] }, !test.without}
			got := h.explain(test.err)
			if test.want == "" {
				if got != test.err {
					t.Errorf("got %v, want it as it was", got)
				}
				return
			}
			var known *HostError
			if !errors.As(got, &known) || !strings.Contains(known.What, test.want) || !strings.Contains(known.Hint, test.hint) {
				t.Errorf("got %+v, want %q with hint %q", got, test.want, test.hint)
			}
			if !errors.Is(got, errors.Unwrap(test.err)) {
				t.Errorf("%v has lost its cause", got)
			}
		})
	}
}

func TestExplainHelper(t *testing.T) {
	for output, hint := range map[string]string{
		"newuidmap: uid range [1-65537) -> [100000-165536) not allowed":          "/etc/subuid",
		"newuidmap: open of uid_map failed: Permission denied":                   "/etc/subuid",
		"newuidmap: Target process is owned by a different user: uid:0 pw_uid:0": "fresh login",
		"newuidmap: write to uid_map failed: Operation not permitted":            "set-uid root",
	} {
		err := explainHelper("newuidmap", []string{"1", "0", "1000", "1"}, output, errors.New("exit status 1"))
		var known *HostError
		if !errors.As(err, &known) || !strings.Contains(known.Hint, hint) || !strings.Contains(err.Error(), output) {
			t.Errorf("%q is explained by %+v, want %q", output, err, hint)
		}
	}
}

func TestCheckHelpers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	var known *HostError
	if err := checkHelpers(); !errors.As(err, &known) || !strings.Contains(known.Hint, "uidmap") {
		t.Errorf("missing helpers: %v", err)
	}
	for _, name := range []string{"newuidmap", "newgidmap"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o755))
	}
	if err := checkHelpers(); !errors.As(err, &known) || !strings.Contains(known.Hint, "chmod u+s") {
		t.Errorf("helpers without set-uid: %v", err)
	}
	for _, name := range []string{"newuidmap", "newgidmap"} {
		must(t, os.Chmod(filepath.Join(dir, name), 0o755|os.ModeSetuid))
	}
	must(t, checkHelpers())
}

// A user whose helpers cannot work gets a map of its own id and the reason.
func TestCurrentWithoutHelpers(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root needs no helpers")
	}
	t.Setenv("PATH", t.TempDir())
	m, err := Current()
	must(t, err)
	if !m.Single || m.Why == nil || len(m.UIDs) != 1 || m.UIDs[0].Outside != uint32(os.Geteuid()) {
		t.Errorf("the mapping is %+v", m)
	}
}

// Under no_new_privs the kernel ignores set-uid, and newuidmap fails in words that
// name no cause.
func TestNoNewPrivileges(t *testing.T) {
	const inner = "SKIFF_TEST_NNP"
	if os.Getenv(inner) != "" {
		var known *HostError
		if err := checkHelpers(); !errors.As(err, &known) || !strings.Contains(known.What, "no_new_privs") {
			t.Errorf("under no_new_privs: %v", err)
		}
		return
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv(1) of util-linux is not installed")
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		t.Skip("newuidmap(1) is not installed")
	}
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(setpriv, "--no-new-privs", exe, "-test.run=^TestNoNewPrivileges$")
	cmd.Env = append(os.Environ(), inner+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
