package conmon

import (
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Start starts the shim of a container in the user's user namespace and returns
// once the container's process was executed. The session is attached as
// setup.Attach says; closing it leaves the container running. Direct descriptors
// become the container's own. The error is a *[Failure] where the shim or the
// runtime could not start the process.
//
// The program is what runs the shim: the path of the small program, or of this one.
func Start(s *store.Store, program string, setup Setup, direct [3]*os.File) (*Session, *store.Entry, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("starting a shim: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "control")
	defer theirs.Close()
	ours, err := newConn(ends[0])
	if err != nil {
		return nil, nil, err
	}
	var files []*os.File
	for i, f := range direct {
		if setup.Direct[i] = f != nil; f != nil {
			files = append(files, f)
		}
	}
	setup.Root = s.Root
	if err := ours.send(kindSetup, setup, files...); err != nil {
		ours.close()
		return nil, nil, fmt.Errorf("starting a shim: %w", err)
	}
	_, entry, err := s.Enter(&userns.Command{
		Path:     program,
		ReadOnly: true,
		Args:     []string{shimStage},
		// Nothing of the caller's environment is kept for the container's whole life
		// but the way to helpers such as fuse-overlayfs. One processor means fewer
		// threads asleep: a tenth of the shim's memory.
		Env:     []string{"PATH=" + os.Getenv("PATH"), "GOMAXPROCS=1"},
		Files:   []userns.File{{Name: "control", File: theirs}},
		Session: true,
	}, unix.CLONE_NEWNS, setup.Container)
	if err != nil {
		ours.close()
		return nil, nil, err
	}
	theirs.Close() // else the shim's end is never noticed
	session, err := newSession(ours)
	return session, entry, err
}
