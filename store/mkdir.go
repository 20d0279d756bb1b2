package store

import "os"

// mkdirForAll makes a directory that users inside of a container see, as its root for
// one: they may enter it whatever the umask of the caller.
func mkdirForAll(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}
