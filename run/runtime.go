package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/run/seccomp"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// RuntimeOptions say which OCI runtime starts a container's processes.
type RuntimeOptions struct {
	Runtime string // a name, the path of a program, or "skiff"; "" is the engine's default
}

// OwnRuntime is the name of the built-in runtime.
const OwnRuntime = "skiff"

// knownRuntimes are those whose ways the shim knows; info tells which this host has.
var knownRuntimes = []string{"crun", "runc", "runsc", "youki"}

// runtimeFolders are looked through beside $PATH: an ordinary user's often lacks them.
var runtimeFolders = []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin"}

// chooseRuntime settles which runtime a container gets, and refuses what that cannot do.
func (e *Engine) chooseRuntime(o *CreateOptions) error {
	if o.Runtime == "" {
		o.Runtime = e.Runtime
	}
	if o.Runtime == "" {
		o.Runtime = OwnRuntime
	}
	path, err := runtimePath(o.Runtime)
	if err != nil || path == "" {
		return err
	}
	if o.Init {
		return &userns.HostError{What: fmt.Sprintf("--init is a part of skiff's own runtime, and %q is another one", o.Runtime), Hint: "leave --init or --runtime out"}
	}
	if o.PreserveFDs > 0 {
		return &userns.HostError{What: fmt.Sprintf("--preserve-fds needs skiff's own runtime, and %q is another one", o.Runtime), Hint: "leave --preserve-fds or --runtime out"}
	}
	return nil
}

// runtimePath finds the program of a runtime; "" for the built-in one.
func runtimePath(name string) (string, error) {
	if name == "" || name == OwnRuntime {
		return "", nil
	}
	if strings.Contains(name, "/") {
		path, err := filepath.Abs(name)
		if err == nil {
			err = unix.Access(path, unix.X_OK)
		}
		if err != nil {
			return "", fmt.Errorf("finding the runtime %q: %w", name, err)
		}
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, folder := range runtimeFolders {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", &userns.HostError{What: fmt.Sprintf("unknown or invalid runtime name: %s", name), Hint: "name skiff, the path of a program, or one that is installed, such as crun"}
}

// isForeign tells whether another runtime than the built-in one starts a container.
func isForeign(h *store.HostConfig) bool { return h.Runtime != "" && h.Runtime != OwnRuntime }

// forRuntime gives the config what another runtime must make itself: it compiles the
// seccomp filter, which ours gets compiled.
func (p *plan) forRuntime(s *specs.Spec, caps []string) (err error) {
	h := &p.record.HostConfig
	if !isForeign(h) {
		return nil
	}
	if !ownsStore(s.Linux.UIDMappings) {
		return &userns.HostError{What: fmt.Sprintf("these ids need skiff's own runtime: to root of such a container the store is closed, in which %q looks for its files", h.Runtime),
			Hint: "leave --runtime out, or take --userns keep-id"}
	}
	switch text := p.security.seccomp; {
	case text == "unconfined" || h.Privileged && text == "":
	case text == "" || text == "builtin":
		s.Linux.Seccomp, err = seccomp.Profile("", caps)
	default:
		s.Linux.Seccomp, err = seccomp.Profile(text, caps)
	}
	return err
}

// ownsStore tells whether one of a container's users is the user who has the store: then
// its root may go where only that one may.
func ownsStore(maps []specs.LinuxIDMapping) bool {
	return len(maps) == 0 || slices.ContainsFunc(maps, func(m specs.LinuxIDMapping) bool { return m.HostID == 0 })
}

// runtimes lists the built-in runtime and those that this host has.
func runtimes() map[string]RuntimeInfo {
	all := map[string]RuntimeInfo{OwnRuntime: {Path: "built in"}}
	for _, name := range knownRuntimes {
		if path, err := runtimePath(name); err == nil {
			all[name] = RuntimeInfo{Path: path}
		}
	}
	return all
}
