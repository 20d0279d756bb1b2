package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/skiff-containers/skiff/conmon/program"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Runtime is a folder of containers and how they are made.
type Runtime struct {
	Root          string // the folder; made when it is first needed
	SystemdCgroup bool   // cgroups are made by the service manager, over D-Bus
	NoCgroups     bool   // none is made, and limits are refused
	// Rootless says that cgroups may be out of reach, which is then no error as long as
	// no limit is asked for.
	Rootless bool
	// Warn, where not nil, is told what is no error.
	Warn func(text string)
}

// Errors that callers tell apart. Their words are those of runc, which other programs look for.
var (
	ErrNotFound   = errors.New("container does not exist")
	ErrExists     = errors.New("container with given ID already exists")
	ErrNotRunning = errors.New("container not running")
)

var errCreating = errors.New("it is being created")

// DefaultRoot is where containers are remembered: a folder that a reboot empties,
// as it ends what is in it.
func DefaultRoot() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && !InitialRoot() {
		return filepath.Join(dir, "skiff-runtime")
	}
	return "/run/skiff-runtime"
}

// initialUserNamespace is the inode of the host's user namespace (linux/proc_ns.h, PROC_USER_INIT_INO).
const initialUserNamespace = 0xEFFFFFFD

// InitialRoot tells whether this is root of the host itself, outside any user namespace.
func InitialRoot() bool { return userns.Privileged() && inInitialUserNamespace() }

func inInitialUserNamespace() bool {
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/user", &st) == nil && st.Ino == initialUserNamespace
}

// checkID refuses names that could lead out of the folder, or that a shell would trip over.
func checkID(id string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-."
	switch {
	case id == "":
		return errors.New("container id cannot be empty")
	case len(id) > 1024, id == ".", id == "..", strings.Trim(id, allowed) != "":
		return fmt.Errorf("invalid container id %q: letters, digits and _+-. make one", id)
	}
	return nil
}

// stages opens what the stages of package oci are executed from: the small program of
// the shim, a fraction of this one, where it is embedded; nil is this one.
func stages() func() (*os.File, error) {
	if !program.Embedded() {
		return nil
	}
	return program.InMemory
}

func (r *Runtime) warn(format string, args ...any) {
	if r.Warn != nil {
		r.Warn(fmt.Sprintf(format, args...))
	}
}
