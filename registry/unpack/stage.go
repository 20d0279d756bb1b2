package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Stage is the argv[0] of the process that unpacks. It is root of the user's user
// namespace, its parent is the program that pulls, and it ends when its stdin does.
// Should its parent die, so does it, at once: else the next command would find its
// directory held, and leave it to the command after that.
//
//	stdin   the layer, an uncompressed tar archive
//	stdout  one Report, at the end
//	"layer" the empty directory to fill
//	"lock"  kept open, so that nobody takes the directory for abandoned while the stage lives
const Stage = "skiff-unpack"

// Report is what the stage tells its parent.
type Report struct {
	Result *Result `json:",omitempty"`
	Error  string  `json:",omitempty"`
	// Disk is what the error comes from, where it is the disk's and not the layer's.
	Disk syscall.Errno `json:",omitempty"`
}

// Run is the stage.
func Run() int {
	debug.SetGCPercent(800) // short-lived and small: collecting costs more than it gives
	return report(func() (*Result, error) {
		root, err := Enter("layer")
		if err != nil {
			return nil, err
		}
		return Apply(root, os.Stdin)
	})
}

func report(work func() (*Result, error)) int {
	var result *Result
	err := userns.DieWithParent()
	if err == nil {
		result, err = work()
	}
	said := Report{Result: result}
	if err != nil {
		said = Report{Error: err.Error(), Disk: ofDisk(err)}
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return 1
	}
	return 0
}

// ofDisk tells errors of the disk from those of the layer, which are 0.
func ofDisk(err error) syscall.Errno {
	for _, cause := range []syscall.Errno{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, cause) {
			return cause
		}
	}
	return 0
}

// Enter makes the directory that was passed under a name the root of this process.
func Enter(name string) (*os.File, error) {
	dir, err := userns.Passed(name)
	if err != nil {
		return nil, err
	}
	unix.Umask(0)
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return nil, fmt.Errorf("entering the layer's directory: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return nil, fmt.Errorf("entering the layer's directory: %w", err)
	}
	return dir, nil
}
