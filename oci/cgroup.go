package oci

import (
	"fmt"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// cgroupName is the file cgroup.procs of the group that a stage enters.
const cgroupName = "cgroup"

// enterCgroup moves this process into the group that it was handed, if any. It does
// so itself, once its runtime has all its threads: from then on the limits hold, and a
// thread more than the group may have would be the end of the stage.
//
// Who may write was decided when the file was opened (Linux 5.16, CVE-2021-4197), so
// it does not matter that exec's stage is in the container's namespaces.
func enterCgroup() error {
	file, err := userns.Passed(cgroupName)
	if err != nil {
		return nil // there is none
	}
	defer file.Close()
	if _, err := unix.Write(int(file.Fd()), []byte("0")); err != nil {
		return fmt.Errorf("entering the container's cgroup: %w", err)
	}
	return nil
}
