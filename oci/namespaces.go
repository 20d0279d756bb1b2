package oci

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// namespaces are those of a container that is to start.
type namespaces struct {
	create uintptr // made with the process
	own    uintptr // not the starter's: created or joined
	joined []userns.File
	pid    *os.File // of a PID namespace to join, or nil

	mapping *userns.Mapping // of a user namespace to make, or nil
	user    *os.File        // of one to join, or nil
	time    *os.File        // of a time namespace to join, or nil
}

// compileNamespaces reads a spec's list and opens the namespaces that exist. With shared
// a container may do without a mount namespace of its own.
func compileNamespaces(wanted []specs.LinuxNamespace, shared bool) (n *namespaces, err error) {
	n = new(namespaces)
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for _, w := range wanted {
		flag, ok := cloneFlags[w.Type]
		switch {
		case !ok:
			return n, fmt.Errorf("namespace type %q is not supported", w.Type)
		case n.own&flag != 0:
			return n, fmt.Errorf("namespace type %q stands twice in the container's config", w.Type)
		}
		n.own |= flag
		if w.Path == "" {
			n.create |= flag
			continue
		}
		if flag == unix.CLONE_NEWNS && !shared {
			return n, fmt.Errorf("joining the mount namespace %q is not supported", w.Path)
		}
		file, err := openNamespace(w.Path, w.Type)
		if err != nil {
			return n, err
		}
		switch {
		case flag == unix.CLONE_NEWUSER && isOwn(file, "user"):
			file.Close() // there already, and to join it once more is EINVAL
			continue
		case flag == unix.CLONE_NEWUSER:
			n.user = file
			continue
		case flag == unix.CLONE_NEWPID:
			n.pid = file // effective for children only, so it is joined before the stage is forked
			continue
		case flag == unix.CLONE_NEWTIME:
			n.time = file // for a process of one thread only, which the stage is not
			continue
		}
		n.joined = append(n.joined, userns.File{Name: "ns-" + string(w.Type), File: file})
	}
	// That of mounts last: the others' files may not exist there.
	slices.SortStableFunc(n.joined, func(a, b userns.File) int {
		return cmp.Compare(strings.Count(a.Name, mountNamespaceName), strings.Count(b.Name, mountNamespaceName))
	})
	if n.create&unix.CLONE_NEWNS == 0 && !shared {
		return n, fmt.Errorf("a container needs a mount namespace of its own")
	}
	return n, nil
}

// mountNamespaceName is that of its descriptor.
const mountNamespaceName = "ns-" + string(specs.MountNamespace)

// openNamespace opens a namespace's file and makes sure that it is one of its type.
func openNamespace(name string, kind specs.LinuxNamespaceType) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening namespace %q: %w", name, err)
	}
	if !isFilesystem(fd, unix.NSFS_MAGIC) {
		unix.Close(fd)
		return nil, fmt.Errorf("opening namespace %q: not a namespace", name)
	}
	if got, err := ioctl(fd, unix.NS_GET_NSTYPE, 0); err == nil && uintptr(got) != cloneFlags[kind] { // since Linux 4.11
		unix.Close(fd)
		return nil, fmt.Errorf("opening namespace %q: not of type %s", name, kind)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// names are those of the descriptors that the stage is to join by itself.
func (n *namespaces) names() []string {
	if n.mapping != nil || n.user != nil {
		return nil
	}
	var all []string
	for _, f := range n.joined {
		all = append(all, f.Name)
	}
	return all
}

func (n *namespaces) close() {
	for _, f := range n.joined {
		f.File.Close()
	}
	for _, f := range []*os.File{n.pid, n.user, n.time} {
		if f != nil {
			f.Close()
		}
	}
}

// joinNamespaces is the init stage's part: those that a thread may join by itself.
// It comes before all else, as mounts of proc, sysfs and mqueue show the
// namespaces of the one who mounts them.
func joinNamespaces(names []string) error {
	for _, name := range names {
		file, err := userns.Passed(name)
		if err != nil {
			return err
		}
		if name == mountNamespaceName {
			// The kernel wants a root and a working directory that no other thread shares.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("joining the namespace %s: %w", name, err)
			}
		}
		err = unix.Setns(int(file.Fd()), 0)
		file.Close()
		if errors.Is(err, unix.EPERM) {
			return because(err, "only namespaces made by skiff for this user can be joined", "joining the namespace %s", name)
		}
		if err != nil {
			return fmt.Errorf("joining the namespace %s: %w", name, err)
		}
	}
	return nil
}

// different returns the CLONE_NEW* flags of the namespaces in which a process lives
// and this one does not. To join one's own is needless, and for those of the host
// forbidden.
func different(pid int) (flags int, err error) {
	for _, n := range []struct {
		name string
		flag int
	}{
		{"user", unix.CLONE_NEWUSER},
		{"mnt", unix.CLONE_NEWNS},
		{"pid", unix.CLONE_NEWPID},
		{"net", unix.CLONE_NEWNET},
		{"ipc", unix.CLONE_NEWIPC},
		{"uts", unix.CLONE_NEWUTS},
		{"cgroup", unix.CLONE_NEWCGROUP},
		{"time", unix.CLONE_NEWTIME},
	} {
		var own, its unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+n.name, &own); err != nil {
			continue // a kernel without that namespace
		}
		if err := unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/"+n.name, &its); err != nil {
			return 0, fmt.Errorf("reading the namespaces of process %d: %w", pid, err)
		}
		if own.Ino != its.Ino || own.Dev != its.Dev {
			flags |= n.flag
		}
	}
	return flags, nil
}

// toJoin returns the flags of the namespaces in which the process of a pidfd, which has
// that number, lives and this one does not.
func toJoin(pidfd *os.File, pid int) (flags int, err error) {
	flags, err = different(pid)
	if err != nil || flags != 0 {
		return flags, err // to join those of a process that has ended fails
	}
	// Had the process ended, its number could be that of one which lives here, and the host
	// would be taken for the container.
	n := 0
	err = userns.Retried(func() (err error) {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}, 0)
		return err
	})
	if err == nil && n > 0 {
		err = unix.ESRCH
	}
	return 0, err
}

// pidOf returns the process id behind a pidfd, as the caller's /proc tells it
// (pidfd_open(2)). By the time it is used the process may have ended; what the
// pidfd itself is used for then fails with ESRCH.
func pidOf(pidfd *os.File) (int, error) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 0, err
	}
	pid := 0
	controlErr := raw.Control(func(fd uintptr) {
		var data []byte
		if data, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd)); err == nil {
			pid, err = parsePid(string(data))
		}
	})
	return pid, errors.Join(controlErr, err)
}

func parsePid(fdinfo string) (int, error) {
	const key = "\nPid:"
	for i := 0; i+len(key) < len(fdinfo); i++ {
		if fdinfo[i:i+len(key)] == key {
			var pid int
			if _, err := fmt.Sscan(fdinfo[i+len(key):], &pid); err != nil {
				return 0, fmt.Errorf("parsing a pidfd's info: %w", err)
			}
			if pid <= 0 {
				return 0, unix.ESRCH
			}
			return pid, nil
		}
	}
	return 0, fmt.Errorf("the descriptor is no pidfd")
}
