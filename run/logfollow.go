package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// followPoll is how long a follower sleeps where inotify has nothing to tell: a
// shim that was killed writes nothing, and a caller that gave up wants to go.
const followPoll = 200 * time.Millisecond

// logFollower waits for something to happen in a container's folder.
type logFollower struct {
	container *store.Container
	inotify   int
}

func newLogFollower(c *store.Container) (*logFollower, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return &logFollower{c, -1}, nil // too many watches of this user: looking again and again does it too
	}
	const events = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF
	if _, err := unix.InotifyAddWatch(fd, c.Dir, events); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("%w: %.12s", store.ErrNoContainer, c.ID)
		}
		return &logFollower{c, -1}, nil
	}
	return &logFollower{c, fd}, nil
}

func (f *logFollower) close() {
	if f.inotify >= 0 {
		unix.Close(f.inotify)
	}
}

// ended tells whether nobody writes to the log any longer.
func (f *logFollower) ended() bool {
	state, err := f.container.State()
	return err != nil || state.Status == store.Exited || state.Status == store.Removing
}

// wait returns when something may have changed, or with the context's error.
func (f *logFollower) wait(ctx context.Context) error {
	if f.inotify < 0 {
		return pause(ctx, followPoll)
	}
	set := []unix.PollFd{{Fd: int32(f.inotify), Events: unix.POLLIN}}
	n, err := unix.Poll(set, int(followPoll.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("waiting for the log: %w", err)
	}
	if n > 0 {
		var events [4096]byte // what happened does not matter, only that it did
		for {
			if n, err := unix.Read(f.inotify, events[:]); n <= 0 || err != nil {
				break
			}
		}
	}
	return ctx.Err()
}
