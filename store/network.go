package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Network is networks/<name>/network.json: what was asked for when it was created.
// It does not change while the network exists.
type Network struct {
	Name       string
	ID         string // 64 hexadecimal digits
	Created    time.Time
	Driver     string // "bridge", "macvlan" or "overlay"
	EnableIPv6 bool
	DisableDNS bool `json:",omitempty"` // members do not find each other by name
	Internal   bool // names resolve and members talk, the world is out of reach
	Subnets    []Subnet
	Options    map[string]string // as --opt gave them
	Labels     map[string]string
}

// EnableIPv4 tells whether members have addresses of IPv4.
func (n *Network) EnableIPv4() bool {
	return slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.Subnet.Addr().Is4() })
}

// Subnet is one range of addresses of a network.
type Subnet struct {
	Subnet    netip.Prefix
	Gateway   netip.Addr            // skiff's own address in it: router and name server
	Range     netip.Prefix          // where addresses are given out; zero: the whole subnet
	Auxiliary map[string]netip.Addr // addresses that are never given out, by what they are for
}

// ErrNoNetwork: no network has that name.
var ErrNoNetwork = errors.New("no such network")

// ErrNetworkExists: the name is taken.
var ErrNetworkExists = errors.New("network exists")

// ErrAddressTaken: another container has the address.
var ErrAddressTaken = errors.New("address is taken")

// networkFile is the definition in a network's folder; it comes last and goes first.
const networkFile = "network.json"

// CreateNetwork puts a network into the store. It wraps ErrNetworkExists. The caller
// holds the lock "networks" where it has compared subnets.
func (s *Store) CreateNetwork(n *Network) error {
	staged := s.path("tmp", "network-"+NewID())
	claim, err := s.stage(staged)
	if err != nil {
		return fmt.Errorf("creating network %q: %w", n.Name, err)
	}
	defer claim.Unlock()
	defer os.RemoveAll(staged)
	if err := os.Mkdir(filepath.Join(staged, "leases"), 0o700); err != nil {
		return fmt.Errorf("creating network %q: %w", n.Name, err)
	}
	if err := WriteJSON(filepath.Join(staged, networkFile), n, Durable); err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("networks"), 0o700); err != nil { // a store from before networks
		return fmt.Errorf("creating network %q: %w", n.Name, err)
	}
	err = unix.Renameat2(unix.AT_FDCWD, staged, unix.AT_FDCWD, s.path("networks", n.Name), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %s", ErrNetworkExists, n.Name)
	}
	if err != nil {
		return fmt.Errorf("creating network %q: %w", n.Name, err)
	}
	return nil
}

// Network reads a network by its exact name. It wraps ErrNoNetwork.
func (s *Store) Network(name string) (*Network, error) {
	if !ValidName(name) {
		return nil, fmt.Errorf("%w: %s", ErrNoNetwork, name)
	}
	var n Network
	err := ReadJSON(s.path("networks", name, networkFile), &n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoNetwork, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading network %q: %w", name, err)
	}
	return &n, nil
}

// Networks lists all networks by name.
func (s *Store) Networks() ([]*Network, error) {
	entries, err := os.ReadDir(s.path("networks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing networks: %w", err)
	}
	var all []*Network
	for _, e := range entries {
		n, err := s.Network(e.Name())
		if errors.Is(err, ErrNoNetwork) {
			continue // being removed
		}
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// RemoveNetwork takes a network out of the store: it is gone once its folder was
// renamed away. Whether somebody uses it is the caller's to know, under the lock "networks".
func (s *Store) RemoveNetwork(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%w: %s", ErrNoNetwork, name)
	}
	staged := s.path("tmp", "network-"+NewID())
	claim, err := s.stage(staged)
	if err != nil {
		return fmt.Errorf("removing network %q: %w", name, err)
	}
	defer claim.Unlock()
	defer os.RemoveAll(staged)
	err = os.Rename(s.path("networks", name), filepath.Join(staged, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoNetwork, name)
	}
	if err != nil {
		return fmt.Errorf("removing network %q: %w", name, err)
	}
	return nil
}

// Lease gives an address of a network to a container: a symlink leases/<address>
// → container id, which exists with its content or not at all, so that two never
// get one address, whoever asks at once. An address that the container has already is no error.
// It wraps ErrAddressTaken, and ErrNoNetwork.
func (s *Store) Lease(network string, addr netip.Addr, container string) error {
	path := s.path("networks", network, "leases", addr.String())
	err := os.Symlink(container, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		if holder, err := os.Readlink(path); err == nil && holder == container {
			return nil
		}
		return fmt.Errorf("%w: %s", ErrAddressTaken, addr)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s", ErrNoNetwork, network)
	case err != nil:
		return fmt.Errorf("leasing %s: %w", addr, err)
	}
	return nil
}

// Leases lists a network's addresses that are given out, with the holders' ids.
func (s *Store) Leases(network string) (map[netip.Addr]string, error) {
	names, err := readNames(s.path("networks", network, "leases"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoNetwork, network)
	}
	if err != nil {
		return nil, fmt.Errorf("listing leases of network %q: %w", network, err)
	}
	leases := make(map[netip.Addr]string, len(names))
	for _, name := range names {
		addr, err := netip.ParseAddr(name)
		if err != nil {
			continue
		}
		if holder, err := os.Readlink(s.path("networks", network, "leases", name)); err == nil {
			leases[addr] = holder
		}
	}
	return leases, nil
}

// Release gives an address back, where the container still has it.
func (s *Store) Release(network string, addr netip.Addr, container string) {
	if !addr.IsValid() {
		return
	}
	path := s.path("networks", network, "leases", addr.String())
	if holder, err := os.Readlink(path); err == nil && holder == container {
		os.Remove(path)
	}
}

func readNames(folder string) ([]string, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
