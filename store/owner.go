package store

import (
	"errors"
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// refuseForeign refuses a store that another user has, or may write to: what lies
// there is executed, mounted and obeyed with the rights of the caller. One that is
// not there yet is nobody's.
func refuseForeign(root string) error {
	var st unix.Stat_t
	err := unix.Stat(root, &st)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	switch {
	case err != nil:
		return unusable("opening", root, err)
	case int(st.Uid) != os.Geteuid():
		return &userns.HostError{What: fmt.Sprintf("store %q belongs to user %d, not to %d who runs skiff", root, st.Uid, os.Geteuid()),
			Hint: "name another folder with --root or SKIFF_ROOT"}
	case st.Mode&0o022 != 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &userns.HostError{What: fmt.Sprintf("others may write to store %q", root),
			Hint: fmt.Sprintf("look at what is in it, then: chmod go-w %s", root)}
	}
	return nil
}
