package netlab

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Host is [Main] for tests that run skiff itself: all ids of the user are mapped, so
// that containers can be run in there, and the mount namespace has a resolv.conf of
// its own, see [SetResolv]. To skiff it is a machine on which root calls it.
func Host(m interface{ Run() int }) int {
	if os.Getenv(inside) == "" {
		return enter()
	}
	if err := furnishHost(); err != nil {
		fmt.Fprintln(os.Stderr, "netlab:", err)
		return 1
	}
	defer os.RemoveAll(filepath.Dir(resolv))
	return m.Run()
}

// enter runs this program again in namespaces.
func enter() int {
	mapping, err := userns.Current()
	var process *userns.Process
	if err == nil {
		process, err = (&userns.Command{
			Path: "/proc/self/exe", Args: os.Args, Env: append(os.Environ(), inside+"=1"),
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Create: unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS, Mapping: mapping, BecomeRoot: true,
		}).Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netlab: making a user namespace:", err)
		return 1
	}
	status, err := process.Wait()
	if err != nil || !status.Exited() {
		return 1
	}
	return status.ExitStatus()
}

var resolv string

func furnishHost() error {
	if err := userns.DieWithParent(); err != nil {
		return err
	}
	if err := furnish(); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("leaving the machine's mounts: %w", err)
	}
	folder, err := os.MkdirTemp("", "netlab")
	if err != nil {
		return err
	}
	resolv = filepath.Join(folder, "resolv.conf")
	if err := SetResolv(""); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("finding resolv.conf: %w", err)
	}
	if err := unix.Mount(resolv, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting a resolv.conf: %w", err)
	}
	return nil
}

// SetResolv replaces the content of the host's resolv.conf, in place.
func SetResolv(text string) error { return os.WriteFile(resolv, []byte(text), 0o644) }
