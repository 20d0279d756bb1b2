package cli

import (
	"os"
	"os/user"
	"path/filepath"

	"github.com/skiff-containers/skiff/run"
)

// tellLingering says, once a login, what logging out does to detached containers
// where systemd-logind ends what a user leaves behind (loginctl(1), enable-linger).
func tellLingering(e *run.Engine) {
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if os.Geteuid() == 0 || runtime == "" {
		return
	}
	who, err := user.Current()
	if err != nil || !logsOutWhole("/", who.Username) || !markTold(runtime) {
		return
	}
	e.Notice("logging out may end this container, as lingering is off for " + who.Username + ": loginctl enable-linger keeps it")
}

// logsOutWhole tells whether systemd runs (sd_booted(3)), with its logind, and has
// lingering off for a user. root is the host's.
func logsOutWhole(root, user string) bool {
	return exists(filepath.Join(root, "run/systemd/system")) && exists(filepath.Join(root, "run/systemd/seats")) && !exists(filepath.Join(root, "var/lib/systemd/linger", user))
}

// markTold tells whether it made the mark that the notice was given. It lies in
// XDG_RUNTIME_DIR, which goes with the login.
func markTold(runtime string) bool {
	mark, err := os.OpenFile(filepath.Join(runtime, "skiff-lingering-told"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	mark.Close()
	return true
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
