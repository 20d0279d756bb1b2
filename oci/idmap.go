package oci

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// idMapping says whether the ids on a mount are others than those on its file system
// (mount_setattr(2), MOUNT_ATTR_IDMAP).
type idMapping uint8

const (
	unmapped     idMapping = iota
	mapped                 // the mount itself
	mappedDeeply           // and all mounts beneath
)

// compileIDMap reads it of a spec's mount, whose options have been read.
func (m *mountConfig) compileIDMap(spec *specs.Mount) error {
	if len(spec.UIDMappings)+len(spec.GIDMappings) > 0 && m.IDMap == unmapped {
		m.IDMap = mapped
		if m.Recursive {
			m.IDMap = mappedDeeply
		}
	}
	if m.IDMap != unmapped && !m.Bind {
		return hinted("a bind mount can have other ids", "mounting %s at %q: ids can be mapped on bind mounts only", m.what(), m.Destination)
	}
	return nil
}

// mapTrees maps the ids on the mounts that want it. The starter does that, as it needs
// rights over their file systems, which a user namespace of the container does not have.
// pid lives in the container's user namespace.
func (c *containerConfig) mapTrees(mounts []specs.Mount, pid int, own bool) error {
	next := 1 // the first is the root file system
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if !m.Bind {
			continue
		}
		if m.IDMap != unmapped {
			if len(c.Trees) == 0 {
				if err := c.openTrees(); err != nil {
					return err
				}
				if len(c.Trees) == 0 {
					return fmt.Errorf("mounting %s at %q: mapping ids needs root of this mount namespace: %w", m.what(), m.Destination, unix.EPERM)
				}
			}
			if err := m.mapTree(c.Trees[next], &mounts[i], pid, own); err != nil {
				return fmt.Errorf("mounting %s at %q: mapping its ids: %w", m.what(), m.Destination, err)
			}
		}
		next++
	}
	return nil
}

func (m *mountConfig) mapTree(tree int, spec *specs.Mount, pid int, own bool) error {
	var space *os.File
	var err error
	switch {
	case len(spec.UIDMappings)+len(spec.GIDMappings) > 0:
		space, err = namespaceOf(spec)
	case own:
		space, err = os.Open("/proc/" + strconv.Itoa(pid) + "/ns/user")
	default:
		err = errors.New("neither the mount nor the container says how")
	}
	if err != nil {
		return err
	}
	defer space.Close()
	flags := uint(unix.AT_EMPTY_PATH)
	if m.IDMap == mappedDeeply {
		flags |= unix.AT_RECURSIVE
	}
	err = unix.MountSetattr(tree, "", flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(space.Fd())})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return because(err, "it takes Linux 5.12, a file system that can, and its owner: mostly the host's root", "the kernel does not grant it")
	}
	return err
}

// namespaceOf makes a user namespace with the maps of a mount. It lives as long as its
// descriptor; the process that it was made with ends at once.
func namespaceOf(spec *specs.Mount) (*os.File, error) {
	uids, err := compileMaps("uidMappings", spec.UIDMappings)
	if err != nil {
		return nil, err
	}
	gids, err := compileMaps("gidMappings", spec.GIDMappings)
	if err != nil {
		return nil, err
	}
	mapping, err := userns.Child(uids, gids)
	if err != nil {
		return nil, err
	}
	program, err := openProgram()
	if err != nil {
		return nil, err
	}
	defer program.Close()
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	// A stage that is told nothing.
	cmd := &userns.Command{Args: []string{execStageName}, Program: program, Env: stageEnv(), Create: unix.CLONE_NEWUSER,
		Mapping: mapping, Files: []userns.File{{Name: syncName, File: theirs}}}
	process, err := cmd.Start()
	if err != nil {
		ours.close()
		return nil, err
	}
	space, err := os.Open("/proc/" + strconv.Itoa(process.PID) + "/ns/user")
	ours.close()
	theirs.Close()
	process.Wait()
	return space, err
}
