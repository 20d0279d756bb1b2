package store

import (
	"errors"
	"fmt"
	"os"

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
	lock, err := s.Lock("userns")
	if err != nil {
		return nil, nil, err
	}
	defer lock.Unlock()
	mapping, err := userns.Current()
	if err != nil {
		return nil, nil, err
	}
	entry := &Entry{Mapping: mapping}
	holder, holderMapping, err := s.holder(mapping)
	if err != nil {
		return nil, nil, err
	}
	cmd.BecomeRoot = true
	if holder != nil {
		defer holder.Close()
		entry.Joined, entry.Stale = true, !holderMapping.Equal(mapping)
		cmd.Join, cmd.JoinFlags, cmd.Unshare = holder, unix.CLONE_NEWUSER, namespaces
	} else {
		cmd.Create, cmd.Mapping = unix.CLONE_NEWUSER|namespaces, mapping
	}
	process, err := cmd.Start()
	if err != nil {
		return nil, nil, userns.Explain(err)
	}
	if err := s.register(process.PID, who); err != nil {
		unix.Kill(process.PID, unix.SIGKILL)
		process.Wait()
		return nil, nil, err
	}
	return process, entry, nil
}

// Entry tells how a process came into the user namespace.
type Entry struct {
	Mapping *userns.Mapping
	Joined  bool // a live process held the namespace already
	Stale   bool // it was made from an older /etc/subuid; the new one counts once all have ended
}

// register records a process of U. The symlink exists with its content or not at all.
func (s *Store) register(pid int, who string) error {
	id, err := Identify(pid)
	if err != nil {
		return err
	}
	path := s.path("live", who)
	if err := os.Symlink(id.String(), path); !errors.Is(err, os.ErrExist) {
		return err
	}
	os.Remove(path) // of an earlier life of the same container
	if err := os.Symlink(id.String(), path); err != nil {
		return fmt.Errorf("registering process %d: %w", pid, err)
	}
	return nil
}

// Leave takes a process out of live/. The process itself calls it last, or its parent after its end.
func (s *Store) Leave(who string) { os.Remove(s.path("live", who)) }

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
	for _, id := range live {
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
