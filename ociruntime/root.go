package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// refuseForeign refuses a folder of containers that another user has or may write to,
// or may put another one in the place of: hooks that are written down there are
// executed, and processes killed, with the rights of the caller. One that is not there
// yet is nobody's.
func (r *Runtime) refuseForeign() error {
	own := []int{os.Geteuid()}
	if err := refuseForeign(r.Root, own); err != nil {
		return err
	}
	// In a sticky folder nobody renames what is another's. Inside of a user namespace
	// the host's root has no number of his own: what he has cannot be told from others'.
	own = append(own, 0)
	if !inInitialUserNamespace() {
		own = nil
	}
	return refuseForeign(filepath.Dir(r.Root), own)
}

// refuseForeign is for one folder. Nil owners are anybody.
func refuseForeign(folder string, owners []int) error {
	var st unix.Stat_t
	err := unix.Stat(folder, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("opening the folder of containers: %w", &os.PathError{Op: "stat", Path: folder, Err: err})
	}
	mine := owners == nil
	for _, uid := range owners {
		mine = mine || int(st.Uid) == uid
	}
	switch {
	case !mine:
		err = fmt.Errorf("it belongs to user %d, not to %d who calls", st.Uid, os.Geteuid())
	case st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0:
		err = errors.New("others may write to it")
	default:
		return nil
	}
	return &userns.HostError{What: fmt.Sprintf("containers are not kept in %q", folder), Err: err,
		Hint: "name a folder of your own with --root, or in XDG_RUNTIME_DIR"}
}
