package cli

import (
	"os"
	"os/user"
	"path/filepath"

	"github.com/skiff-containers/skiff/run"
)

// tellLingering says, once a login, what logging out does to detached containers
// where systemd-logind ends what a user leaves behind (loginctl(1), enable-linger).
// The mark that it was said lies in XDG_RUNTIME_DIR, which goes with the login.
func tellLingering(e *run.Engine) {
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if os.Geteuid() == 0 || runtime == "" || !exists("/run/systemd/seats") {
		return
	}
	who, err := user.Current()
	if err != nil || exists(filepath.Join("/var/lib/systemd/linger", who.Username)) {
		return
	}
	mark, err := os.OpenFile(filepath.Join(runtime, "skiff-lingering-told"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	mark.Close()
	e.Notice("logging out may end this container, as lingering is off for " + who.Username + ": loginctl enable-linger keeps it")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
