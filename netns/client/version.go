package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// SocketName is the helper's socket in the store's folder "helper". It has the version of
// the conversation in it, which goes up with each change of what messages mean: whoever speaks
// another one does not find it, and learns so before anything was said.
const SocketName = socketNames + "-1"

// socketNames is what the name of a helper's socket of any version begins with.
const socketNames = "socket"

// ErrOtherVersion: the helper that runs speaks with another version of skiff only.
var ErrOtherVersion = errors.New("it is of another version of skiff")

// versionWait is how long it is waited for a helper of another version that may be
// about to end, as no container is attached to it.
const versionWait = 3 * time.Second

// absent says why there is no socket of ours: no helper runs, or one of another version.
func absent(folder string) error {
	others, err := otherSockets(folder)
	if err != nil {
		return err
	}
	if len(others) == 0 {
		return ErrNoHelper
	}
	lives, err := helperLives(folder)
	if err != nil {
		return err
	}
	if !lives {
		return ErrNoHelper
	}
	return &userns.HostError{
		What: "reaching the network helper that runs",
		Hint: "stop the containers that an older or newer skiff has started with networks; it ends two seconds after the last of them",
		Err:  ErrOtherVersion,
	}
}

// otherSockets are the paths of sockets of helpers of other versions, that live or were killed.
func otherSockets(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("looking for the network helper: %w", err)
	}
	var others []string
	for _, e := range entries {
		if e.Type() == os.ModeSocket && e.Name() != SocketName && strings.HasPrefix(e.Name(), socketNames) {
			others = append(others, filepath.Join(folder, e.Name()))
		}
	}
	return others, nil
}

// helperLives asks whether a helper, of whatever version, holds its lock.
func helperLives(folder string) (bool, error) {
	f, err := os.Open(filepath.Join(folder, AliveName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking whether the network helper lives: %w", err)
	}
	defer f.Close()
	ask := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &ask); err != nil {
		return false, fmt.Errorf("asking whether the network helper lives: %w", err)
	}
	return ask.Type != unix.F_UNLCK, nil
}

// dialOrWait is Dial, for those who would start a helper: one of another version is
// given the time to end that it takes where nobody needs it.
func (s *Start) dialOrWait() (*Conn, error) {
	for end := time.Now().Add(versionWait); ; time.Sleep(20 * time.Millisecond) {
		conn, err := Dial(s.Store)
		if !errors.Is(err, ErrOtherVersion) || time.Now().After(end) {
			return conn, err
		}
	}
}
