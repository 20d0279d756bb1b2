package oci

import (
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// A container may have a user namespace of its own, a child of the starter's: a new
// one, or one that exists and is joined by its path. All its other namespaces are
// made inside it, and so belong to it: what the container may do to them it may not
// do to the starter's, whose capabilities it does not have. Namespaces that it joins
// by path are entered before, with the rights of the starter.

// compileUserNamespace completes what the list of namespaces says by the maps.
func (n *namespaces) compileUserNamespace(l *specs.Linux) error {
	if n.create&unix.CLONE_NEWUSER == 0 {
		if len(l.UIDMappings)+len(l.GIDMappings) > 0 && n.user == nil {
			return hinted("add a namespace of type user", "the container's config has id mappings and no user namespace")
		}
		return nil
	}
	uids, err := compileMaps("uidMappings", l.UIDMappings)
	if err != nil {
		return err
	}
	gids, err := compileMaps("gidMappings", l.GIDMappings)
	if err != nil {
		return err
	}
	n.mapping, err = userns.Child(uids, gids)
	return err
}

func compileMaps(name string, wanted []specs.LinuxIDMapping) ([]userns.IDMap, error) {
	if len(wanted) == 0 {
		return nil, hinted("say which ids it has", "the container's config asks for a user namespace without %s", name)
	}
	maps := make([]userns.IDMap, len(wanted))
	for i, m := range wanted {
		maps[i] = userns.IDMap{Inside: m.ContainerID, Outside: m.HostID, Size: m.Size}
	}
	if err := userns.CheckMaps(maps); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return maps, nil
}

// command says how the init stage comes into its namespaces. The stage makes its
// mount namespace itself, a copy of the starter's as it is by then, and that of cgroups,
// whose root is the group that it was moved to by then.
func (n *namespaces) command() *userns.Command {
	cmd := &userns.Command{Args: []string{initStageName}, Create: n.create &^ (unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME)}
	switch {
	case n.mapping != nil:
		cmd.Before = n.existing()
		cmd.Mapping, cmd.BecomeRoot, cmd.Root = n.mapping, true, n.mapping.Root()
		// Not where processes of others may be near, while it can be looked into.
		cmd.Early = len(cmd.Before) == 0 && rootIsCaller(n.mapping)
	case n.user != nil:
		cmd.Before = n.existing()
		cmd.Join, cmd.JoinFlags, cmd.BecomeRoot = n.user, unix.CLONE_NEWUSER, true
		cmd.Create, cmd.Unshare = 0, cmd.Create
		cmd.Reparent = n.pid != nil || n.create&unix.CLONE_NEWPID != 0
	default:
		cmd.Files = n.joined
		if n.time != nil {
			cmd.Before = []*os.File{n.time}
		}
		if n.pid != nil {
			cmd.Join, cmd.JoinFlags, cmd.Reparent = n.pid, unix.CLONE_NEWPID, true
		}
	}
	return cmd
}

// rootIsCaller tells whether the caller is root in a user namespace that it makes.
func rootIsCaller(m *userns.Mapping) bool {
	uid, hasUID := userns.Inside(m.UIDs, uint32(os.Geteuid()))
	gid, hasGID := userns.Inside(m.GIDs, uint32(os.Getegid()))
	return hasUID && hasGID && uid == 0 && gid == 0
}

// existing are the namespaces to join, but for the user namespace.
func (n *namespaces) existing() []*os.File {
	var all []*os.File
	for _, f := range n.joined {
		all = append(all, f.File)
	}
	for _, f := range []*os.File{n.pid, n.time} {
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// isOwn tells whether a namespace's descriptor is of the one that this process lives in.
func isOwn(file *os.File, name string) bool {
	var own, its unix.Stat_t
	if unix.Stat("/proc/self/ns/"+name, &own) != nil || unix.Fstat(int(file.Fd()), &its) != nil {
		return false
	}
	return own.Ino == its.Ino && own.Dev == its.Dev
}

// mappingOf is the mapping of the container's user namespace, in which pid lives by
// now where it is one that exists.
func (n *namespaces) mappingOf(pid int) (*userns.Mapping, error) {
	switch {
	case n.mapping != nil:
		return n.mapping, nil
	case n.user != nil:
		return userns.Of(pid) // another one than ours: see isOwn
	}
	return userns.Of(os.Getpid())
}
