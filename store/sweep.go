package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stage makes a folder under tmp/ and locks it: while the lock is held, Sweep
// leaves the folder alone.
func (s *Store) stage(path string) (*Lock, error) {
	for {
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, fmt.Errorf("staging: %w", err)
		}
		lock, err := lockPath(path, unix.O_DIRECTORY, unix.LOCK_EX)
		if errors.Is(err, os.ErrNotExist) {
			continue // a sweep came between the two and took it for a dead one
		}
		if err != nil {
			return nil, fmt.Errorf("staging: %w", err)
		}
		return lock, nil
	}
}

// staged tells whether a living process works in the staging folder at path.
func (s *Store) staged(path string) bool {
	lock, err := lockPath(path, unix.O_DIRECTORY, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		lock.Unlock()
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// Sweep clears away what dead processes left: half-made and half-deleted things
// in tmp/, containers whose shim was killed, entries in live/; after a reboot it
// looks at every container. Every command calls it first. With nothing to do it
// reads two small folders and a link. Its errors concern leftovers, not the store:
// the caller tells them and goes on.
func (s *Store) Sweep() error {
	return errors.Join(s.sweepBoot(), s.sweepLive(), s.sweepTmp())
}

// sweepTmp deletes everything in tmp/ that no living process has locked.
func (s *Store) sweepTmp() error {
	entries, err := listNames(s.path("tmp"))
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range entries {
		path := s.path("tmp", name)
		lock, err := lockPath(path, os.O_RDONLY, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, os.ErrNotExist):
			continue
		case errors.Is(err, os.ErrPermission) && !older(path, unreadableAge):
			continue // of a subordinate id: whether somebody holds it cannot be asked
		}
		if id, found := strings.CutPrefix(name, "create-"); found {
			failed = append(failed, s.freeNameIn(path, id))
		} else if id, found := strings.CutPrefix(name, "remove-"); found {
			failed = append(failed, s.freeNameIn(path, id))
		}
		if tree, found := s.markedTree(name); found { // the tree first: its name here is all that leads to it
			if err = s.RemoveTree(tree); err == nil {
				err = os.Remove(path)
			}
		} else {
			err = s.RemoveTree(path)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("sweeping: %w", err))
		}
		if lock != nil {
			lock.Unlock()
		}
	}
	return errors.Join(failed...)
}

// unreadableAge is how long a folder that cannot be asked for its holder is left alone.
const unreadableAge = 24 * time.Hour

func older(path string, age time.Duration) bool {
	info, err := os.Lstat(path)
	return err == nil && time.Since(info.ModTime()) > age
}

// freeNameIn frees the name of a container that was being made or removed.
func (s *Store) freeNameIn(path, id string) error {
	var r Record
	if ReadJSON(filepath.Join(path, "record.json"), &r) != nil {
		return nil
	}
	return s.freeName(r.Name, id)
}

// sweepLive looks for entries of live/ whose process has ended. A process id that
// was used again hides a dead one from this quick look; [Container.State] is exact.
func (s *Store) sweepLive() error {
	entries, err := listNames(s.path("live"))
	if err != nil {
		return err
	}
	var failed []error
	for _, who := range entries {
		text, err := os.Readlink(s.path("live", who))
		if err != nil {
			continue
		}
		if seemsAlive(text) {
			continue
		}
		done, err := s.sweepEntry(who)
		failed = append(failed, err)
		if done {
			failed = append(failed, s.leaveIf(who, text))
		}
	}
	return errors.Join(failed...)
}

// seemsAlive tells of the content of an entry whether a process has its number and
// has not ended: a dead one keeps its number until its parent looks.
func seemsAlive(text string) bool {
	id, ok := parseProcessID(text)
	if !ok || id.Boot != bootID() {
		return false
	}
	pidfd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return !errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(pidfd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
	return err != nil || n == 0
}

// sweepEntry does what the death of an entry's process asks for; done is false
// where the entry is still needed.
func (s *Store) sweepEntry(who string) (done bool, err error) {
	id, intended := strings.CutPrefix(who, intent)
	c := s.byID(id)
	if c == nil {
		return true, nil
	}
	if intended {
		// The starter died, which matters only before a shim took over.
		if text, err := os.Readlink(s.path("live", id)); err == nil && seemsAlive(text) {
			return true, nil
		}
		if held, err := alive(c.Dir); err != nil || held {
			return held, err
		}
	}
	if restored, err := c.restoreEntry(); restored || err != nil {
		return false, err
	}
	return c.sweep()
}

// restoreEntry puts the shim that holds the container back into live/, where the
// entry names another that came too late and has ended.
func (c *Container) restoreEntry() (restored bool, err error) {
	if held, err := alive(c.Dir); err != nil || !held {
		return false, err
	}
	state, err := c.readState()
	if err != nil {
		return false, nil // the sweep itself deals with that
	}
	pidfd, err := state.Shim.Open()
	if err != nil || pidfd == nil {
		return false, err
	}
	defer pidfd.Close()
	lock, err := c.store.Lock("userns")
	if err != nil {
		return false, err
	}
	defer lock.Unlock()
	return true, c.store.enlist(state.Shim, c.ID)
}

// sweep buries a container whose entry in live/ is dead, and removes it where it
// was to be removed at its end. A container that another process has locked, or
// that another shim holds, is left to that one: done is false then.
func (c *Container) sweep() (done bool, err error) {
	lock, err := lockPath(c.Dir, unix.O_DIRECTORY, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking container %.12s: %w", c.ID, err)
	}
	defer lock.Unlock()
	if held, err := c.stillAlive(); err != nil || held {
		return false, err
	}
	if _, err := c.bury(); err != nil && !errors.Is(err, ErrDamaged) {
		return false, err
	}
	if c.removesItself() || c.lost() {
		return true, c.removeLocked(lock)
	}
	return true, nil
}

// stillAlive is alive for a container whose shim was seen dead. A child that the
// shim was just forking when it was killed may hold `alive` for another moment,
// until it is killed as well or its exec closes the descriptor.
func (c *Container) stillAlive() (held bool, err error) {
	for range 2000 {
		if held, err = alive(c.Dir); err != nil || !held {
			return held, err
		}
		time.Sleep(time.Millisecond)
	}
	return held, nil
}

// lost tells whether a power cut took the record, which is synced for containers
// that shall last: the file is missing, empty, or blank.
func (c *Container) lost() bool {
	data, err := os.ReadFile(filepath.Join(c.Dir, "record.json"))
	return errors.Is(err, os.ErrNotExist) || err == nil && len(bytes.Trim(data, "\x00")) == 0
}

// sweepBoot looks at everything once after each start of the machine. The link
// `boot` tells when that was done.
func (s *Store) sweepBoot() error {
	link := s.path("boot")
	last, err := os.Readlink(link)
	if err == nil && last == bootID() {
		return nil
	}
	lock, err := s.TryLock("boot")
	if err != nil || lock == nil {
		return err // where another process is at it, nothing is awaited
	}
	defer lock.Unlock()
	all, err := s.Containers()
	if err != nil {
		return err
	}
	failed := []error{s.sweepLive()}
	for _, c := range all {
		state, err := c.readState()
		switch {
		case errors.Is(err, ErrNoContainer):
		case err != nil && !c.lost(): // damaged: whoever names it is told
		case err != nil, state.unfinished(), state.Status == Exited && c.removesItself(), c.lost():
			_, err := c.sweep()
			failed = append(failed, err)
		}
	}
	failed = append(failed, s.freeDeadNames())
	if err := errors.Join(failed...); err != nil {
		return err
	}
	os.Remove(link)
	if err := os.Symlink(bootID(), link); err != nil {
		return fmt.Errorf("sweeping: %w", err)
	}
	return nil
}

func listNames(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	return names, nil
}
