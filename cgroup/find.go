package cgroup

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Mountpoint is where the hierarchy of cgroup v2 is looked for.
const Mountpoint = "/sys/fs/cgroup"

// The ways to make a group, in Docker's words for the cgroup driver.
const (
	Systemd  = "systemd"
	Cgroupfs = "cgroupfs"
	None     = "none"
)

// Place is where this process may make groups.
type Place struct {
	Driver  string // Systemd, Cgroupfs or None
	Version string // of the host's layout: "2", "1", "1 (hybrid)" or "none"

	// Controllers are those by which containers can be limited; only those which the
	// parent of their groups has are counted.
	Controllers []string

	// Why is set where Driver is None: a *userns.HostError that says what would help.
	Why error

	sockets []socket // of a service manager
	base    string   // the folder in which groups are made, without a service manager
}

// Find looks where groups can be made. It makes none, and asks no other process: it
// may stand on the way of every start.
func Find() *Place {
	p := &Place{Driver: None, Version: version()}
	if p.Version != "2" {
		p.Why = &userns.HostError{What: notV2(p.Version), Hint: "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"}
		return p
	}
	own, err := groupOf("self")
	if err != nil {
		p.Why = err
		return p
	}
	if p.sockets = managers(); len(p.sockets) > 0 {
		p.Driver, p.Controllers = Systemd, controllers(managed(own))
		return p
	}
	if p.base = delegated(own); p.base != "" {
		p.Driver, p.Controllers = Cgroupfs, controllers(p.base)
		return p
	}
	p.Why = &userns.HostError{
		What: "no cgroup is delegated to this user, and no service manager of theirs answers that could delegate one",
		Hint: "log in with systemd (loginctl enable-linger keeps its manager running), or start skiff in a cgroup that this user may write to",
	}
	return p
}

func notV2(version string) string {
	if version == "none" {
		return "this host shows no cgroups at " + Mountpoint
	}
	return "this host has cgroup v" + version + ", and skiff limits by cgroup v2 only"
}

// version tells the layout of /sys/fs/cgroup (cgroups(7)).
func version() string {
	var st unix.Statfs_t
	switch {
	case unix.Statfs(Mountpoint, &st) != nil:
		return "none"
	case st.Type == unix.CGROUP2_SUPER_MAGIC:
		return "2"
	case unix.Statfs(Mountpoint+"/unified", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC:
		return "1 (hybrid)"
	}
	return "1"
}

// errOutside is a group that lies above the root of this cgroup namespace.
var errOutside = errors.New("the cgroup of this process is not shown in its cgroup namespace")

// groupOf returns the folder of a process's group; pid may be "self".
func groupOf(pid string) (string, error) {
	data, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if group, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			if strings.HasPrefix(group, "/..") {
				return "", errOutside
			}
			return path.Join(Mountpoint, group), nil
		}
	}
	return "", errOutside
}

// hostGroup is the group that skiff makes for those who were in a delegated group when
// it was first used: only a group without processes can have others that are limited.
const hostGroup = "skiff-host"

// delegated returns the folder in which this process may make groups, or "".
func delegated(own string) string {
	if path.Base(own) == hostGroup {
		own = path.Dir(own)
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		err := unix.Faccessat(unix.AT_FDCWD, path.Join(own, name), unix.W_OK, unix.AT_EACCESS)
		if err != nil {
			return ""
		}
	}
	return own
}

// controllers are those that groups below a folder can have.
func controllers(folder string) []string {
	data, err := os.ReadFile(path.Join(folder, "cgroup.controllers"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// known are the controllers by which Docker's flags limit, in the order of cgroup-v2.rst.
var known = [...]string{"cpu", "memory", "io", "pids", "cpuset"}

// Lacking are the controllers of Docker's flags that containers cannot be limited by.
func (p *Place) Lacking() []string {
	var all []string
	for _, name := range known {
		if !slices.Contains(p.Controllers, name) {
			all = append(all, name)
		}
	}
	return all
}
