package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The life of a container, and who changes state.json:
//
//	Created             Create writes it
//	  │ start           the starter holds the folder's lock (LockStart), the shim
//	  │                 takes `alive`, and then alone writes the state
//	  ▼
//	Created + Init      the first process exists and has not been executed yet
//	  ▼
//	Running             it was executed
//	  ▼
//	Exited              it ended; the shim cleans up, leaves live/, and lets go of `alive` by its end
//
// With `alive` free and the second or third state still there, the shim died
// without a word: [Container.State] then ends the first process and writes Exited.

// WriteState replaces state.json in a container's folder. On a full disk, where there
// is no room for a second file, it writes over the one that is there, so that an end
// is known even when it was the container that filled the disk.
func WriteState(dir string, state *State, d Durability) error {
	path := filepath.Join(dir, "state.json")
	err := WriteJSON(path, state, d)
	if noRoom(err) && overwriteJSON(path, state) == nil {
		return nil
	}
	return err
}

// noRoom tells whether a file could not be written for want of room, or as nothing may be.
func noRoom(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS)
}

// State says what became of the container, and is the one place that knows
// whether it runs: state.json, the lock on alive, and the identity of its first process.
//
// Where the shim died without a word, the container's first process is killed and
// waited for before State returns, so that nothing touches its files any longer;
// the state is then Exited with code 137 and Error says why, and is written back.
// A container that was to be removed at its end is removed, and ErrNoContainer comes back.
func (c *Container) State() (*State, error) {
	state, err := c.readState()
	if err != nil || !state.unfinished() {
		return state, err
	}
	held, err := alive(c.Dir)
	if err != nil || held {
		return state, err
	}
	lock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	state, err = c.bury()
	if err == nil && c.removesItself() {
		if err := c.removeLocked(lock); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	}
	return state, err
}

func (c *Container) readState() (*State, error) {
	state, err := readQuickly(filepath.Join(c.Dir, "state.json"), quickState)
	if err != nil {
		return nil, c.explain("state.json", err)
	}
	return state, nil
}

// unfinished: a shim must be there to bring it to its end.
func (s *State) unfinished() bool {
	return s.Up() || s.Status == Created && s.Init.PID != 0 || s.Creating
}

// lock takes the lock of the container: a flock on its folder, which comes and
// goes with it. Whoever makes, starts, buries or deletes it holds that lock.
func (c *Container) lock() (*Lock, error) {
	lock, err := lockPath(c.Dir, unix.O_DIRECTORY, unix.LOCK_EX)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %.12s", ErrNoContainer, c.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("locking container %.12s: %w", c.ID, err)
	}
	return lock, nil
}

// bury ends a container whose shim is gone. The caller holds its lock; everything
// is looked at again, as the shim may have written its end, or a new one may have
// come, since the caller looked.
func (c *Container) bury() (*State, error) {
	state, err := c.readState()
	if err != nil || !state.unfinished() {
		return state, err
	}
	if held, err := alive(c.Dir); err != nil || held {
		return state, err
	}
	if err := state.Init.KillAndWait(10 * time.Second); err != nil {
		return nil, fmt.Errorf("ending container %.12s, whose shim died: %w", c.ID, err)
	}
	if state.Creating && state.Shim.Boot == bootID() {
		if err := endCreate(filepath.Join(c.ID, RuntimeFolder), 10*time.Second); err != nil {
			return nil, fmt.Errorf("ending container %.12s, whose shim died: %w", c.ID, err)
		}
	}
	if state.Shim.Boot == bootID() {
		state.Cgroup.Remove()
	}
	state.Cgroup, state.Creating = nil, false
	state.Status, state.ExitCode, state.FinishedAt = Exited, 137, time.Now().UTC()
	state.Error = "the shim was killed"
	if state.Shim.Boot != bootID() {
		state.Error = "the machine was restarted"
	}
	if err := WriteState(c.Dir, state, Durable); err != nil {
		if noRoom(err) { // the container is ended all the same, and may be removed, which makes room
			return state, nil
		}
		return nil, err
	}
	c.store.ReleaseAll(c.Dir, c.ID)
	c.store.Leave(c.ID)
	if r, err := c.Record(); err == nil {
		lasted := max(0, state.FinishedAt.Sub(state.StartedAt))
		c.store.Emit(r.Event("die", "exitCode", "137", "execDuration", strconv.Itoa(int(lasted.Seconds()))))
	}
	return state, nil
}

// removesItself tells whether the container was made with --rm.
func (c *Container) removesItself() bool {
	r, err := c.Record()
	return err == nil && r.HostConfig.AutoRemove
}

// LockStart is taken by whoever is about to start the container's shim, before
// [Store.Enter], and given back when the shim has answered. It waits while another
// process starts it or an earlier shim cleans up. It wraps ErrRunning where the
// container runs; a container whose shim was killed is buried first.
func (c *Container) LockStart() (*Lock, *State, error) {
	lock, err := c.lock()
	if err != nil {
		return nil, nil, err
	}
	state, err := c.bury()
	if err == nil {
		err = c.startable(state)
	}
	if err != nil {
		lock.Unlock()
		return nil, nil, err
	}
	return lock, state, nil
}

// startable waits for a shim that has written the container's end and cleans up.
func (c *Container) startable(state *State) error {
	held, err := alive(c.Dir)
	if err != nil || !held {
		return err
	}
	if state.Status == Exited {
		if err := state.Shim.Wait(cleanUpLimit); err != nil {
			return fmt.Errorf("starting container %.12s, which is being cleaned up: %w", c.ID, err)
		}
		if held, err = alive(c.Dir); err != nil || !held {
			return err
		}
	}
	return fmt.Errorf("%w: %.12s", ErrRunning, c.ID)
}

// cleanUpLimit is how long a shim may take to unmount after its container's end.
const cleanUpLimit = 10 * time.Second

// AwaitShim waits until no shim holds the container any longer: between the end of
// its process, which the state tells, and the end of the shim lies the unmounting,
// and files must not be deleted before. It wraps ErrRunning where the container runs.
func (c *Container) AwaitShim() error {
	state, err := c.State()
	if err != nil {
		return err
	}
	return c.startable(state)
}
