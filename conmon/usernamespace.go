package conmon

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
)

// ids are what the ids of a container mean to the shim.
type ids struct{ mapping *userns.Mapping }

// idsOf completes the config's user namespace. One without maps is to have the ids
// that there are: which, only a process in U can tell.
func idsOf(l *specs.Linux) (ids, error) {
	for _, n := range l.Namespaces {
		switch {
		case n.Type != specs.UserNamespace:
			continue
		case n.Path != "":
			var pid int
			if _, err := fmt.Sscanf(n.Path, "/proc/%d/ns/user", &pid); err != nil {
				return ids{}, fmt.Errorf("reading config.json: user namespace %q is none of a process", n.Path)
			}
			mapping, err := userns.As(pid)
			return ids{mapping}, err
		case len(l.UIDMappings)+len(l.GIDMappings) > 0:
			return ids{&userns.Mapping{UIDs: idMaps(l.UIDMappings), GIDs: idMaps(l.GIDMappings)}}, nil
		}
		mapping, err := userns.Same()
		if err != nil {
			return ids{}, err
		}
		l.UIDMappings, l.GIDMappings = specMaps(mapping.UIDs), specMaps(mapping.GIDs)
		return ids{mapping}, nil
	}
	mapping, err := userns.Same()
	return ids{mapping}, err
}

// outside is a user of the container as the shim sees it; ids that mean nobody here
// are left as they are, and no file can be given to them.
func (i ids) outside(u specs.User) specs.User {
	if uid, ok := userns.Outside(i.mapping.UIDs, u.UID); ok {
		u.UID = uid
	}
	if gid, ok := userns.Outside(i.mapping.GIDs, u.GID); ok {
		u.GID = gid
	}
	return u
}

func idMaps(maps []specs.LinuxIDMapping) []userns.IDMap {
	all := make([]userns.IDMap, len(maps))
	for i, m := range maps {
		all[i] = userns.IDMap{Inside: m.ContainerID, Outside: m.HostID, Size: m.Size}
	}
	return all
}

func specMaps(maps []userns.IDMap) []specs.LinuxIDMapping {
	all := make([]specs.LinuxIDMapping, len(maps))
	for i, m := range maps {
		all[i] = specs.LinuxIDMapping{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size}
	}
	return all
}
