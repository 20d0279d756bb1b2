package userns

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Child returns the mapping of a user namespace that a process of this one makes:
// Outside are ids of the caller's own namespace. A caller that is root there writes
// it directly; another one may map its own ids, or has newuidmap(1) do more.
//
// The kernel wants each range to lie within one of the caller's own; those that span
// several are split.
func Child(uids, gids []IDMap) (*Mapping, error) {
	m := &Mapping{privileged: mayMapAll()}
	if !m.privileged {
		m.UIDs, m.GIDs = uids, gids
		m.Single = only(uids, os.Geteuid()) && only(gids, os.Getegid())
		return m, nil
	}
	own, err := own()
	if err != nil {
		return nil, err
	}
	if m.UIDs, err = within(uids, own.UIDs); err != nil {
		return nil, fmt.Errorf("mapping user ids: %w", err)
	}
	if m.GIDs, err = within(gids, own.GIDs); err != nil {
		return nil, fmt.Errorf("mapping group ids: %w", err)
	}
	return m, nil
}

// own is the mapping of the caller's namespace, which is written once and is not left.
var own = sync.OnceValues(func() (*Mapping, error) { return Of(os.Getpid()) })

// within splits maps where the ranges of own, the namespace above, meet.
func within(maps, own []IDMap) ([]IDMap, error) {
	var split []IDMap
	for _, m := range maps {
		for m.Size > 0 {
			i := slices.IndexFunc(own, func(o IDMap) bool { return m.Outside >= o.Inside && m.Outside-o.Inside < o.Size })
			if i < 0 {
				return nil, &HostError{What: fmt.Sprintf("there is no id %d to map %d to", m.Outside, m.Inside),
					Hint: "skiff info shows the ids that there are; more are given by usermod --add-subuids and --add-subgids"}
			}
			part := m
			part.Size = min(m.Size, own[i].Size-(m.Outside-own[i].Inside))
			split = append(split, part)
			m.Inside, m.Outside, m.Size = m.Inside+part.Size, m.Outside+part.Size, m.Size-part.Size
		}
	}
	return split, nil
}

// only tells whether the maps are of a single id, and it is this one.
func only(maps []IDMap, id int) bool {
	return len(maps) == 1 && maps[0].Size == 1 && int64(maps[0].Outside) == int64(id)
}

// Same returns the mapping of a child namespace in which every id means what it
// means to the caller.
func Same() (*Mapping, error) {
	own, err := own()
	if err != nil {
		return nil, err
	}
	return Child(identity(own.UIDs), identity(own.GIDs))
}

// As returns what the ids of a process mean to the caller, whose user namespace is
// the same or the one above. (The kernel tells the former as it tells Of.)
func As(pid int) (*Mapping, error) {
	var own, its unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return nil, fmt.Errorf("reading id mappings: %w", err)
	}
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/user", pid), &its); err != nil {
		return nil, fmt.Errorf("reading id mappings: %w", err)
	}
	if own.Ino == its.Ino && own.Dev == its.Dev {
		return Same()
	}
	return Of(pid)
}

// Shifts tells whether some id of the namespace means another one outside.
func (m *Mapping) Shifts() bool { return shifts(m.UIDs) || shifts(m.GIDs) }

func shifts(maps []IDMap) bool {
	for _, m := range maps {
		if m.Inside != m.Outside {
			return true
		}
	}
	return false
}

// Root returns the user and group ids with which a process that enters the
// namespace works: 0, or the lowest that there is.
func (m *Mapping) Root() [2]uint32 { return [2]uint32{lowest(m.UIDs), lowest(m.GIDs)} }

func lowest(maps []IDMap) uint32 {
	if len(maps) == 0 {
		return 0
	}
	low := maps[0].Inside
	for _, m := range maps {
		low = min(low, m.Inside)
	}
	return low
}

// Outside is what an id of the namespace means outside; false where it is not mapped.
func Outside(maps []IDMap, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Size {
			return m.Outside + (id - m.Inside), true
		}
	}
	return 0, false
}

// Inside is the reverse of [Outside].
func Inside(maps []IDMap, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.Outside && id-m.Outside < m.Size {
			return m.Inside + (id - m.Outside), true
		}
	}
	return 0, false
}

// CheckMaps refuses what the kernel would refuse without a word: empty ranges,
// ranges beyond the last id, and ids that stand twice on either side (user_namespaces(7)).
func CheckMaps(maps []IDMap) error {
	for i, m := range maps {
		if m.Size == 0 || uint64(m.Inside)+uint64(m.Size) > 1<<32-1 || uint64(m.Outside)+uint64(m.Size) > 1<<32-1 {
			return fmt.Errorf("id mapping %d:%d:%d is no range of ids", m.Inside, m.Outside, m.Size)
		}
		for _, o := range maps[:i] {
			if overlap(m.Inside, m.Size, o.Inside, o.Size) || overlap(m.Outside, m.Size, o.Outside, o.Size) {
				return fmt.Errorf("id mappings %d:%d:%d and %d:%d:%d overlap", o.Inside, o.Outside, o.Size, m.Inside, m.Outside, m.Size)
			}
		}
	}
	if len(maps) > 340 {
		return fmt.Errorf("%d id mappings are more than the 340 that the kernel takes", len(maps))
	}
	return nil
}

func overlap(a, sizeA, b, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}
