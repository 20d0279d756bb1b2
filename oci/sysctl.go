package oci

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctlConfig is one kernel parameter: its file beneath /proc/sys, and the value.
type sysctlConfig struct{ Name, File, Value string }

// compileSysctls lets pass what belongs to a namespace of the container. Anything
// else would be the whole host's, and where skiff runs as root it would take effect.
func compileSysctls(wanted map[string]string, own uintptr) ([]sysctlConfig, error) {
	var all []sysctlConfig
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		file := sysctlFile(name)
		if strings.Contains(file+"/", "../") || strings.HasPrefix(file, "/") {
			return nil, fmt.Errorf("kernel parameter %q has no such name", name)
		}
		namespace, word := sysctlNamespace(file)
		switch {
		case namespace == 0:
			return nil, hinted("set it on the host: sudo sysctl -w "+name+"="+wanted[name], "kernel parameter %q is of the whole host, not of a container", name)
		case own&namespace == 0:
			return nil, hinted("leave it out, or give the container a namespace of its own", "kernel parameter %q would change the host's %s namespace", name, word)
		}
		all = append(all, sysctlConfig{name, file, wanted[name]})
	}
	return all, nil
}

// sysctlFile is sysctl(8)'s rule: dots part the names, unless a slash comes first,
// as in net/ipv4/conf/eth0.1/forwarding.
func sysctlFile(name string) string {
	first := strings.IndexAny(name, "./")
	if first < 0 || name[first] == '/' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

func sysctlNamespace(file string) (uintptr, string) {
	switch file {
	case "kernel/sem", "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
		"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/auto_msgmni":
		return unix.CLONE_NEWIPC, "IPC"
	case "kernel/hostname", "kernel/domainname":
		return unix.CLONE_NEWUTS, "UTS"
	}
	switch {
	case strings.HasPrefix(file, "fs/mqueue/"):
		return unix.CLONE_NEWIPC, "IPC"
	case strings.HasPrefix(file, "net/"):
		return unix.CLONE_NEWNET, "network"
	}
	return 0, ""
}

// pingGroups is the range of groups that may ping without privileges (icmp(7)). The
// kernel refuses one that reaches beyond the ids of the writer's user namespace.
const pingGroups = "net/ipv4/ping_group_range"

// ExistingGroups cuts a range of groups that may ping down to those that the user
// namespace has, by its gid_map. The kernel compares groups as the host numbers them, so the ends are those
// that are lowest and highest outside, where they are in that order inside as well.
func ExistingGroups(asked, gidMap string) string {
	var low, high uint64
	if n, err := fmt.Sscan(asked, &low, &high); n != 2 || err != nil {
		return asked
	}
	type group struct{ inside, outside uint64 }
	var ends []group
	for line := range strings.Lines(gidMap) {
		var inside, outside, size uint64
		if n, err := fmt.Sscan(line, &inside, &outside, &size); n != 3 || err != nil || size == 0 {
			continue
		}
		if first, last := max(low, inside), min(high, inside+size-1); first <= last {
			ends = append(ends, group{first, first - inside + outside}, group{last, last - inside + outside})
		}
	}
	if len(ends) == 0 {
		return asked
	}
	slices.SortFunc(ends, func(a, b group) int { return cmp.Compare(a.outside, b.outside) })
	first, last := ends[0].inside, ends[len(ends)-1].inside
	if first > last { // the kernel takes no such range
		slices.SortFunc(ends, func(a, b group) int { return cmp.Compare(a.inside, b.inside) })
		first, last = ends[0].inside, ends[len(ends)-1].inside
	}
	return fmt.Sprintf("%d %d", first, last)
}

// procRootInode is the inode of the root of every procfs (linux/proc_ns.h, PROC_ROOT_INO).
const procRootInode = 1

// setSysctls writes the parameters. /proc/sys shows the namespaces of the one who
// opens a file, so the host's /proc serves, before there is a /proc in which the
// image or another container could have had a hand (CVE-2025-52881).
func setSysctls(all []sysctlConfig) error {
	if len(all) == 0 {
		return nil
	}
	proc, err := openProc()
	if err != nil {
		return fmt.Errorf("setting kernel parameters: %w", err)
	}
	defer unix.Close(proc)
	for _, s := range all {
		err := setSysctl(proc, s)
		if errors.Is(err, unix.EINVAL) && s.File == pingGroups {
			groups, unread := os.ReadFile("/proc/self/gid_map")
			if unread != nil {
				return fmt.Errorf("setting kernel parameter %q: %w", s.Name, unread)
			}
			s.Value = ExistingGroups(s.Value, string(groups))
			err = setSysctl(proc, s)
		}
		if err != nil {
			return fmt.Errorf("setting kernel parameter %q to %q: %w", s.Name, s.Value, err)
		}
	}
	return nil
}

// openProc opens /proc and makes sure that it is the root of a procfs.
func openProc() (int, error) {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening /proc: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(proc, &st); err != nil || st.Ino != procRootInode || !isFilesystem(proc, unix.PROC_SUPER_MAGIC) {
		unix.Close(proc)
		return -1, errors.New("/proc is not what it should be")
	}
	return proc, nil
}

func setSysctl(proc int, s sysctlConfig) error {
	fd, err := unix.Openat2(proc, "sys/"+s.File, &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(s.Value))
	return err
}

// namesInterface tells whether a parameter is of an interface that somebody else
// puts into the container, so that it must be there first.
func namesInterface(wanted map[string]string) bool {
	for name := range wanted {
		parts := strings.Split(sysctlFile(name), "/")
		if len(parts) == 5 && parts[0] == "net" && (parts[2] == "conf" || parts[2] == "neigh") && parts[3] != "all" && parts[3] != "default" && parts[3] != "lo" {
			return true
		}
	}
	return false
}
