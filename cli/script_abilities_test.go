package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/skiff-containers/skiff/userns"
)

func is(holds bool, otherwise string) error {
	if holds {
		return nil
	}
	return errors.New(otherwise)
}

func opens(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func subordinateIDs() error {
	mapping, err := userns.Current()
	if err == nil && mapping.Single {
		err = mapping.Why
	}
	return err
}

// kernelOverlay mounts one in a user namespace, without any of skiff's code.
func kernelOverlay() error {
	folder, err := os.MkdirTemp("", "overlay")
	if err != nil {
		return err
	}
	defer exec.Command("unshare", "-Ur", "rm", "-rf", folder).Run() // work/work has mode 000
	mount := exec.Command("unshare", "-Urm", "sh", "-ec", "mkdir l u w m; mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w overlay m")
	mount.Dir = folder
	if out, err := mount.CombinedOutput(); err != nil {
		return fmt.Errorf("mounting an overlay: %w: %s", err, out)
	}
	return nil
}
