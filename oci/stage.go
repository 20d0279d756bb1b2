package oci

import (
	"fmt"
	"io"
	"runtime"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// The stages' argv[0].
const (
	initStageName = "skiff-init"
	execStageName = "skiff-exec"
	reapStageName = "skiff-pid1"
)

// Stages returns the package's stages by argv[0]. Each returns its exit code, if it
// returns at all: mostly it becomes another program.
func Stages() map[string]func() int {
	return map[string]func() int{
		initStageName: initStage,
		execStageName: execStage,
		reapStageName: reapStage,
	}
}

// runStage is what init and exec stage have in common: work carries the config out
// and does not return but with an error, which is reported once, to the starter.
func runStage(name string, work func(l link, c *config) error) int {
	// Ids, capabilities, keyrings and filters are a thread's: all of it happens on this
	// one, which is the one that calls exec.
	runtime.LockOSThread()
	// First of all, as the ids of a process that is not dumpable cannot be mapped.
	if userns.AwaitMapping() != nil {
		return codeSetup // nobody waits any longer
	}
	// A stage holds descriptors and memory of the host. Processes of the container
	// with the same ids could otherwise look into it (CVE-2016-9962).
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	setName(name)
	l, err := passedLink()
	if err != nil {
		return codeSetup
	}
	c, err := l.receiveConfig()
	if err == io.EOF {
		return codeSetup // nobody waits any longer
	}
	if err == nil {
		err = enterCgroup()
	}
	if err == nil {
		err = work(l, c)
	}
	if err == io.EOF {
		return codeSetup
	}
	l.sendFailure(err)
	return codeSetup
}

func passedLink() (link, error) {
	file, err := userns.Passed(syncName)
	if err != nil {
		return link{-1}, err
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return link{-1}, fmt.Errorf("keeping the sync descriptor: %w", err)
	}
	return link{fd}, nil
}

// setName is what ps shows of a stage.
func setName(name string) {
	if p, err := unix.BytePtrFromString(name); err == nil {
		prctlPointer(unix.PR_SET_NAME, p)
	}
}
