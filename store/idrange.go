package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// ParseIDMap reads "inside:outside:size".
func ParseIDMap(text string) (m userns.IDMap, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return m, fmt.Errorf("id mapping %q is not INSIDE:OUTSIDE:SIZE", text)
	}
	for i, n := range []*uint32{&m.Inside, &m.Outside, &m.Size} {
		value, err := strconv.ParseUint(parts[i], 10, 32)
		if err != nil {
			return m, fmt.Errorf("id mapping %q: %q is no id", text, parts[i])
		}
		*n = uint32(value)
	}
	return m, userns.CheckMaps([]userns.IDMap{m})
}

// FormatIDMaps is the reverse, for several.
func FormatIDMaps(maps []userns.IDMap) []string {
	all := make([]string, len(maps))
	for i, m := range maps {
		all[i] = fmt.Sprintf("%d:%d:%d", m.Inside, m.Outside, m.Size)
	}
	return all
}

// Mapping is what the ids of a container mean in U; nil where they are U's own, as
// for a record without mappings.
func (m *IDMappings) Mapping() (*userns.Mapping, error) {
	if m == nil {
		return nil, nil
	}
	mapping := &userns.Mapping{}
	for _, side := range []struct {
		from []string
		to   *[]userns.IDMap
	}{{m.UIDMap, &mapping.UIDs}, {m.GIDMap, &mapping.GIDs}} {
		for _, text := range side.from {
			one, err := ParseIDMap(text)
			if err != nil {
				return nil, fmt.Errorf("reading the container's ids: %w", err)
			}
			*side.to = append(*side.to, one)
		}
	}
	return mapping, nil
}

// Reservation are ids of U that the next container is to have for itself. It holds as
// long as the process lives, or until the container's record names them.
type Reservation struct {
	Start uint32
	file  *os.File
}

const reservationPrefix = "ids-"

// ReserveIDs finds size ids in a row between from and to (exclusive) that no
// container with --userns auto has, the lowest first, so that the trees which were made
// for them serve again. A container's are free again when its record is gone.
func (s *Store) ReserveIDs(size, from, to uint32) (*Reservation, error) {
	lock, err := s.Lock("ids")
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	taken, err := s.takenIDs()
	if err != nil {
		return nil, fmt.Errorf("finding free ids: %w", err)
	}
	slices.SortFunc(taken, func(a, b userns.IDMap) int { return int(int64(a.Outside) - int64(b.Outside)) })
	start := uint64(from)
	for _, t := range taken {
		if start+uint64(size) <= uint64(t.Outside) {
			break
		}
		start = max(start, uint64(t.Outside)+uint64(t.Size))
	}
	if start+uint64(size) > uint64(to) {
		return nil, &userns.HostError{What: fmt.Sprintf("finding %d ids that no other container has: not enough of the %d are free", size, to-from),
			Hint: "ask for fewer (--userns auto:size=N), remove containers that have some, or give this user more subordinate ids"}
	}
	f, err := s.freshFile(reservationPrefix)
	if err != nil {
		return nil, fmt.Errorf("reserving ids: %w", err)
	}
	r := &Reservation{Start: uint32(start), file: f}
	if _, err := fmt.Fprintf(f, "0:%d:%d", start, size); err != nil {
		r.Release()
		return nil, fmt.Errorf("reserving ids: %w", err)
	}
	return r, nil
}

// Release ends the reservation; nil is none.
func (r *Reservation) Release() {
	if r != nil {
		os.Remove(r.file.Name())
		r.file.Close()
	}
}

// takenIDs are those of containers that have ids for themselves, and of those that
// are about to be made.
func (s *Store) takenIDs() ([]userns.IDMap, error) {
	var taken []userns.IDMap
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if mode, _, _ := strings.Cut(r.HostConfig.UsernsMode, ":"); mode != "auto" && (mode != "container" || r.HostConfig.IDMappings == nil) {
			continue
		}
		m, err := r.HostConfig.IDMappings.Mapping()
		if err != nil || m == nil {
			return nil, errors.Join(fmt.Errorf("container %.12s has no id mapping", r.ID), err)
		}
		taken = append(append(taken, m.UIDs...), m.GIDs...)
	}
	names, err := listNames(s.path("tmp"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, reservationPrefix) {
			continue
		}
		data, err := os.ReadFile(s.path("tmp", name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lock, err := lockPath(s.path("tmp", name), os.O_RDONLY, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			lock.Unlock() // its holder is dead; a sweep deletes it
			continue
		}
		if m, err := ParseIDMap(string(data)); err == nil {
			taken = append(taken, m)
		}
	}
	return taken, nil
}
