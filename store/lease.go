package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// networksFile is what connect and disconnect have made of Record.Networks.
const networksFile = "networks.json"

// Wanted lists the networks that a container is to be in when it starts next: what
// was asked when it was created, unless networks.json in its folder, which connect
// and disconnect write, says otherwise.
func (s *Store) Wanted(r *Record) ([]EndpointConfig, error) {
	var changed []EndpointConfig
	err := ReadJSON(s.path("containers", r.ID, networksFile), &changed)
	if errors.Is(err, fs.ErrNotExist) {
		return r.Networks, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the networks of container %.12s: %w", r.ID, err)
	}
	return changed, nil
}

// SetWanted replaces what Wanted lists. The caller holds the container's lock.
func (c *Container) SetWanted(all []EndpointConfig, d Durability) error {
	if all == nil {
		all = []EndpointConfig{}
	}
	return WriteJSON(filepath.Join(c.Dir, networksFile), all, d)
}

// Leased lists a network's addresses that are given out, without looking to whom.
// It wraps ErrNoNetwork.
func (s *Store) Leased(network string) (map[netip.Addr]bool, error) {
	f, err := os.Open(s.path("networks", network, "leases"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoNetwork, network)
	}
	if err != nil {
		return nil, fmt.Errorf("listing leases of network %q: %w", network, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing leases of network %q: %w", network, err)
	}
	leased := make(map[netip.Addr]bool, len(names))
	for _, name := range names {
		if addr, err := netip.ParseAddr(name); err == nil {
			leased[addr] = true
		}
	}
	return leased, nil
}

// Holder is the id of the container that has an address; empty where none has.
func (s *Store) Holder(network string, addr netip.Addr) string {
	holder, err := os.Readlink(s.path("networks", network, "leases", addr.String()))
	if err != nil {
		return ""
	}
	return holder
}

// Reclaim gives back an address whose holder will not do so itself: a container
// that is gone, or that neither runs nor is being started. It tells whether the
// address is free now.
//
// Two who reclaim exclude one another by a lock; the holder, who gives back what it
// has without one, is excluded by the container's own lock and by `alive`. So what
// is removed is what was looked at, and never the lease of a third who came between.
func (s *Store) Reclaim(network string, addr netip.Addr) (bool, error) {
	if c := s.byID(s.Holder(network, addr)); c != nil {
		_, _ = c.State() // buries one whose shim was killed
	}
	lock, err := s.Lock("leases")
	if err != nil {
		return false, err
	}
	defer lock.Unlock()
	holder := s.Holder(network, addr)
	if holder == "" {
		return true, nil
	}
	if c := s.byID(holder); c != nil {
		idle, still, err := c.idle()
		if err != nil || !still {
			return false, err
		}
		defer idle.Unlock()
	} else if s.staged(s.path("tmp", "create-"+holder)) {
		return false, nil
	}
	s.Release(network, addr, holder)
	return true, nil
}

// Idle tells whether nobody runs, starts or changes the container with an id at this
// moment, or it is gone.
func (s *Store) Idle(id string) (bool, error) {
	c := s.byID(id)
	if c == nil {
		return !s.staged(s.path("tmp", "create-"+id)), nil
	}
	_, _ = c.State() // buries one whose shim was killed
	lock, still, err := c.idle()
	if lock != nil {
		lock.Unlock()
	}
	return still, err
}

// idle takes the lock of a container that nobody runs, starts or changes; still is
// false where somebody does.
func (c *Container) idle() (lock *Lock, still bool, err error) {
	lock, err = lockPath(c.Dir, unix.O_DIRECTORY, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil // it is just going: whoever asks again will find it gone
	}
	if err != nil {
		return nil, false, fmt.Errorf("locking container %.12s: %w", c.ID, err)
	}
	state, err := c.readState()
	held := false
	if err == nil {
		held, err = alive(c.Dir)
	}
	if err != nil || held || state.unfinished() {
		lock.Unlock()
		return nil, false, err
	}
	return lock, true, nil
}
