package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Enter starts cmd in the user's user namespace U: joined where a live process
// of this store holds it, else created. All containers of a user share one U, as
// only then their network namespaces can be connected. The process is entered in
// live/ under who ("<container id>" or "stage-<random>") until [Store.Leave].
//
// cmd must leave Create, Unshare, Join, Mapping and BecomeRoot to Enter; namespaces
// are CLONE_NEW* flags beyond the user namespace that the process shall own.
// The mapping in force comes back; its Single and Why tell of a lack of ids.
func (s *Store) Enter(cmd *userns.Command, namespaces uintptr, who string) (*userns.Process, *Entry, error) {
	entering, err := s.BeginEnter(cmd, namespaces, who)
	if err != nil {
		return nil, nil, err
	}
	return entering.Finish()
}

// Entering is a process on its way into U. Finish must follow, and soon: nobody
// else enters meanwhile.
type Entering struct {
	store      *Store
	lock       *Lock
	cmd        *userns.Command
	namespaces uintptr
	who        string
	entry      *Entry
	holder     *os.File // whom it joins; nil where it makes U
	starting   *userns.Starting
}

// BeginEnter is the first half of Enter: the process is forked, and the caller may
// do other things while its ids are mapped.
func (s *Store) BeginEnter(cmd *userns.Command, namespaces uintptr, who string) (*Entering, error) {
	lock, err := s.Lock("userns")
	if err != nil {
		return nil, err
	}
	e := &Entering{store: s, lock: lock, cmd: cmd, namespaces: namespaces, who: who}
	mapping, err := userns.Current()
	if err == nil {
		cmd.BecomeRoot = true
		e.entry = &Entry{Mapping: mapping}
		err = e.fork(true)
	}
	if err != nil {
		lock.Unlock()
		return nil, userns.Explain(err)
	}
	return e, nil
}

// PID is the process as far as it is known before Finish, which may have to start
// another one.
func (e *Entering) PID() int { return e.starting.PID() }

// fork starts the process: in the U of a live process, where there is one and it
// may be joined, else in a new one.
func (e *Entering) fork(join bool) (err error) {
	var holder *os.File
	var have *userns.Mapping
	if join {
		if holder, have, err = e.store.holder(e.entry.Mapping); err != nil {
			return err
		}
	}
	cmd := e.cmd
	cmd.Join, cmd.JoinFlags, cmd.Unshare, cmd.Create, cmd.Mapping = nil, 0, 0, 0, nil
	if holder != nil {
		cmd.Join, cmd.JoinFlags, cmd.Unshare = holder, unix.CLONE_NEWUSER, e.namespaces
		e.entry.Joined, e.entry.Stale = true, !have.Equal(e.entry.Mapping)
	} else {
		cmd.Create, cmd.Mapping = unix.CLONE_NEWUSER|e.namespaces, e.entry.Mapping
		e.entry.Joined, e.entry.Stale = false, false
	}
	e.holder = holder
	if e.starting, err = cmd.Begin(); err != nil && holder != nil {
		holder.Close()
	}
	return err
}

// Finish is the second half of Enter.
func (e *Entering) Finish() (*userns.Process, *Entry, error) {
	defer e.lock.Unlock()
	process, late, err := e.finish()
	// Where the process that was to be joined ended in the meantime, another one is
	// tried before a new U is made.
	for try := 1; late; try++ {
		if err = e.fork(try < 4); err != nil {
			break
		}
		process, late, err = e.finish()
	}
	if err != nil {
		return nil, nil, userns.Explain(err)
	}
	if err := e.store.register(process.PID, e.who); err != nil {
		unix.Kill(process.PID, unix.SIGKILL)
		process.Wait()
		return nil, nil, err
	}
	return process, e.entry, nil
}

// finish ends one attempt. It came too late where its holder was at its end.
func (e *Entering) finish() (process *userns.Process, late bool, err error) {
	process, err = e.starting.Finish()
	if e.holder != nil {
		if errors.Is(err, unix.EINVAL) && inside(e.holder) {
			err = &userns.HostError{What: "this is the user namespace of the containers already, and none are started from inside of it", Hint: "leave skiff unshare first", Err: err}
		}
		late = errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EPERM) && leaving(e.holder)
		e.holder.Close()
	}
	return process, late, err
}

// inside tells whether the caller is in a process's user namespace, which nobody can join
// who is there (setns(2), EINVAL).
func inside(pidfd *os.File) bool {
	pid, err := pidOf(pidfd)
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
	return err == nil && ours == theirs
}

// pidOf is the process of a descriptor, as long as it lives (pidfd_open(2)).
func pidOf(pidfd *os.File) (pid int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "\nPid:")
	_, err = fmt.Sscan(after, &pid)
	return pid, err
}

// leaving tells whether a process is at its end, and waits for that. One that has
// given up its memory but not yet its number cannot be joined, with EPERM: without
// memory a process counts as undumpable, and only root may look into such.
func leaving(pidfd *os.File) bool {
	ended, err := endsWithin(pidfd, time.Second)
	return err == nil && ended
}

// Entry tells how a process came into the user namespace.
type Entry struct {
	Mapping *userns.Mapping
	Joined  bool // a live process held the namespace already
	Stale   bool // it was made from an older /etc/subuid; the new one counts once all have ended
}

// Register enters a process of U, started by another one of U, in live/.
func (s *Store) Register(pid int, who string) error {
	lock, err := s.Lock("userns")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return s.register(pid, who)
}

// register records a process of U.
func (s *Store) register(pid int, who string) error {
	id, err := Identify(pid)
	if err != nil {
		return err
	}
	return s.enlist(id, who)
}

// enlist writes an entry of live/. The symlink exists with its content or not at all.
func (s *Store) enlist(id ProcessID, who string) error {
	path := s.path("live", who)
	if err := os.Symlink(id.String(), path); !errors.Is(err, os.ErrExist) {
		return err
	}
	os.Remove(path) // of an earlier life of the same container
	if err := os.Symlink(id.String(), path); err != nil {
		return fmt.Errorf("registering process %d: %w", id.PID, err)
	}
	return nil
}

// confirm makes sure that the calling process stands in live/ under who.
func (s *Store) confirm(who string) error {
	if _, err := os.Lstat(s.path("live")); err != nil {
		return nil // the folder is not in a store
	}
	self, err := Identify(os.Getpid())
	if err != nil {
		return err
	}
	if text, err := os.Readlink(s.path("live", who)); err == nil && text == self.String() {
		return nil
	}
	lock, err := s.Lock("userns")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return s.register(self.PID, who)
}

// Leave takes a process out of live/. The process itself calls it last, or its
// parent after its end.
func (s *Store) Leave(who string) { os.Remove(s.path("live", who)) }

// LeaveSelf takes the calling process out of live/, where the entry under who is
// its own and not that of another which came later.
func (s *Store) LeaveSelf(who string) error {
	self, err := Identify(os.Getpid())
	if err != nil {
		return err
	}
	return s.leaveIf(who, self.String())
}

// leaveIf is Leave where the entry still is what the caller saw: the same
// container may have been started again meanwhile.
func (s *Store) leaveIf(who, text string) error {
	lock, err := s.Lock("userns")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if now, err := os.Readlink(s.path("live", who)); err == nil && now == text {
		return os.Remove(s.path("live", who))
	}
	return nil
}

// intent begins the names in live/ of processes that are about to start a container.
const intent = "start-"

// Intend notes that the calling process creates the container and will start it:
// should it die before the shim has taken over, a container made with --rm is not
// left behind, as the next Sweep removes it. Done takes the note back.
func (s *Store) Intend(id string) (done func(), err error) {
	self, err := Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	path := s.path("live", intent+id)
	if err := os.Symlink(self.String(), path); err != nil {
		return nil, fmt.Errorf("starting container %.12s: %w", id, err)
	}
	return func() { os.Remove(path) }, nil
}

// Live lists what stands in live/: who, and the process that it names.
func (s *Store) Live() (map[string]ProcessID, error) {
	f, err := os.Open(s.path("live"))
	if err != nil {
		return nil, fmt.Errorf("listing live processes: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing live processes: %w", err)
	}
	live := make(map[string]ProcessID, len(names))
	for _, who := range names {
		if text, err := os.Readlink(s.path("live", who)); err == nil {
			if id, ok := parseProcessID(text); ok {
				live[who] = id
			}
		}
	}
	return live, nil
}

// holder finds a live process in U, one with the wanted mapping before others. Without any it returns nil.
func (s *Store) holder(want *userns.Mapping) (pidfd *os.File, have *userns.Mapping, err error) {
	live, err := s.Live()
	if err != nil {
		return nil, nil, err
	}
	for who, id := range live {
		if strings.HasPrefix(who, intent) {
			continue // not in U
		}
		candidate, err := id.Open()
		if err != nil || candidate == nil {
			continue
		}
		mapping, err := userns.Of(id.PID)
		if err != nil || len(mapping.UIDs) == 0 {
			candidate.Close()
			continue
		}
		if mapping.Equal(want) {
			if pidfd != nil {
				pidfd.Close()
			}
			return candidate, mapping, nil
		}
		if pidfd != nil {
			candidate.Close()
			continue
		}
		pidfd, have = candidate, mapping
	}
	return pidfd, have, nil
}
