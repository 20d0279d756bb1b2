package archive

import (
	"math"
	"slices"

	"github.com/skiff-containers/skiff/userns"
)

// IDs turn the owners of a tree's files, as the process that looks sees them, into what
// an archive calls them, and back.
//
// Each mapping leads one user namespace further in: Outside is what the one before
// tells, Inside what the next one is told. Without any, they are called as they are.
type IDs []*userns.Mapping

// nobody is who owns what belongs to an id that is not mapped (user_namespaces(7)).
const nobody = 65534

// Named is what the archive calls the owners of a file.
func (ids IDs) Named(uid, gid uint32) (int, int) {
	for _, m := range ids {
		uid, gid = inside(m.UIDs, uid), inside(m.GIDs, gid)
	}
	return int(uid), int(gid)
}

func inside(maps []userns.IDMap, id uint32) uint32 {
	if known, ok := userns.Inside(maps, id); ok {
		return known
	}
	return nobody
}

// Real are the owners of a file that the archive calls so.
func (ids IDs) Real(uid, gid int) (int, int) {
	for _, m := range slices.Backward(ids) {
		uid, gid = outside(m.UIDs, uid), outside(m.GIDs, gid)
	}
	return uid, gid
}

// outside falls back to nobody, and without one to whoever is the first.
func outside(maps []userns.IDMap, id int) int {
	if id < 0 || int64(id) >= math.MaxUint32 || len(maps) == 0 {
		return id // chown(2) says what is wrong with it
	}
	for _, candidate := range []uint32{uint32(id), nobody, maps[0].Inside} {
		if known, ok := userns.Outside(maps, candidate); ok {
			return int(known)
		}
	}
	return id
}

// Root are the owners of what belongs to the tree's root: 0, or the lowest ids that there are.
func (ids IDs) Root() (int, int) {
	uid, gid := 0, 0
	if len(ids) > 0 {
		root := ids[len(ids)-1].Root()
		uid, gid = int(root[0]), int(root[1])
	}
	return ids.Real(uid, gid)
}
