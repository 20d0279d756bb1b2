package run

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

func exists(name string) bool { return unix.Access(name, unix.F_OK) == nil }

// The files that skiff keeps in a container's folder and lays over the image's.
const (
	fileHosts     = "hosts"
	fileHostname  = "hostname"
	fileResolv    = "resolv.conf"
	fileContainer = "containerenv"
	fileSeccomp   = "seccomp.bpf"
	fileConfig    = "config.json"
)

// overlaid maps those files to where containers look for them.
var overlaid = [...]struct{ file, target string }{
	{fileResolv, "/etc/resolv.conf"},
	{fileHostname, "/etc/hostname"},
	{fileHosts, "/etc/hosts"},
	{fileContainer, "/run/.containerenv"},
	{fileLocaltime, "/etc/localtime"},
}

// mounts are all of a container's mounts in the order in which they are made: the
// kernel's file systems, then the user's and skiff's own files by depth, so that
// none covers another; the devices last.
func (p *plan) mounts(dir string) ([]specs.Mount, error) {
	own := userMounts(&p.record.HostConfig)
	covered := func(target string) bool {
		return slices.ContainsFunc(own, func(m specs.Mount) bool { return m.Destination == target })
	}
	var all []specs.Mount
	for _, m := range p.kernelMounts() {
		// What the user mounts takes the place, and what would lie below it.
		if !slices.ContainsFunc(own, func(u specs.Mount) bool { return below(m.Destination, u.Destination) }) {
			all = append(all, m)
		}
	}
	for _, target := range p.tmpfs {
		if !covered(target) {
			own = append(own, specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev"}})
		}
	}
	own = append(own, p.secretMounts()...)
	for _, f := range overlaid {
		if covered(f.target) || p.leaves(f.file) {
			continue
		}
		options := []string{"bind", "rprivate"}
		if p.record.HostConfig.ReadonlyRootfs {
			options = append(options, "ro")
		}
		from := dir
		if p.peer != nil && f.file != fileContainer && f.file != fileLocaltime {
			from = p.peer.Dir // who shares a network shares its names
		}
		own = append(own, specs.Mount{Destination: f.target, Type: "bind", Source: filepath.Join(from, f.file), Options: options})
	}
	slices.SortStableFunc(own, func(a, b specs.Mount) int { return depth(a.Destination) - depth(b.Destination) })
	all = append(all, own...)
	devices := p.record.HostConfig.Devices
	if p.record.HostConfig.Privileged {
		accessible, err := accessibleDevices()
		if err != nil {
			return nil, err
		}
		devices = append(accessible, devices...)
	}
	return append(all, deviceMounts(devices, covered)...), nil
}

// kernelMounts are /proc, /dev, /sys and what lies in them.
func (p *plan) kernelMounts() []specs.Mount {
	h := &p.record.HostConfig
	restricted := func(options ...string) []string { return append([]string{"nosuid", "noexec", "nodev"}, options...) }
	proc := specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: restricted()}
	if h.PidMode == "host" {
		// A new proc shows the mounter's PID namespace, which the container does not own.
		// A slave lets go of what the host unmounts.
		proc = specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: restricted("rbind", "rslave")}
	}
	if len(p.security.proc) > 0 && proc.Type == "proc" {
		proc.Options = append(proc.Options, p.security.proc...)
	}
	sys := specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: restricted()}
	readonly := "ro"
	if p.network.Mode == netns.Host {
		// The kernel lets only the owner of a network namespace mount its sysfs.
		sys = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: restricted("rbind", "rslave")}
		readonly = "rro"
	}
	cgroup := specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: restricted()}
	if !h.Privileged {
		sys.Options = append(sys.Options, readonly)
	}
	if !h.Privileged && p.record.Config.SystemdMode == "" {
		cgroup.Options = append(cgroup.Options, "ro")
	}
	return append([]specs.Mount{
		proc,
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: restricted()},
		sys,
		cgroup,
	}, p.shmMounts()...)
}

// shmMounts is /dev/shm: it goes with the IPC namespace, of whose shared memory it is
// the other half.
func (p *plan) shmMounts() []specs.Mount {
	h := &p.record.HostConfig
	m := specs.Mount{Destination: "/dev/shm", Type: "bind", Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}}
	switch {
	case h.IpcMode == modeNone:
		return nil
	case h.IpcMode == modeHost:
		m.Source = "/dev/shm"
	case strings.HasPrefix(h.IpcMode, modeContainer):
		m.Source = filepath.Join(p.dir, conmon.SharedShm)
	default:
		m.Type, m.Source = "tmpfs", "shm"
		m.Options = []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(h.ShmSize, 10)}
	}
	return []specs.Mount{m}
}

// userMounts are those of -v, --mount and --tmpfs.
func userMounts(h *store.HostConfig) []specs.Mount {
	var all []specs.Mount
	for i := range h.Mounts {
		m := &h.Mounts[i]
		if m.Type == "tmpfs" {
			all = append(all, tmpfsMount(m))
			continue
		}
		kind, readonly := "rbind", "rro"
		if m.NonRecursive {
			kind, readonly = "bind", "ro"
		}
		options := []string{kind, m.Propagation}
		if m.ReadOnly {
			options = append(options, readonly)
		}
		all = append(all, specs.Mount{Destination: m.Target, Type: "bind", Source: m.Source, Options: options})
	}
	for target, asked := range h.Tmpfs {
		options, err := tmpfsOptions(asked)
		if err != nil {
			continue // was refused when the options were read
		}
		all = append(all, specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	return all
}

func tmpfsMount(m *store.Mount) specs.Mount {
	options := []string{"noexec", "nosuid", "nodev"}
	if m.TmpfsSize > 0 {
		options = append(options, "size="+strconv.FormatInt(m.TmpfsSize, 10))
	}
	mode := m.TmpfsMode
	if mode == 0 {
		mode = 0o1777
	}
	options = append(options, fmt.Sprintf("mode=%o", mode))
	if m.ReadOnly {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: m.Target, Type: "tmpfs", Source: "tmpfs", Options: options}
}

// deviceMounts binds devices of the host: without root nobody can make nodes.
func deviceMounts(devices []store.Device, covered func(string) bool) []specs.Mount {
	var all []specs.Mount
	for _, d := range devices {
		if !covered(d.PathInContainer) {
			all = append(all, specs.Mount{Destination: d.PathInContainer, Type: "bind", Source: d.PathOnHost, Options: []string{"bind", "rprivate", "nosuid", "noexec"}})
		}
	}
	return all
}

// makeSources makes the folders that -v named and that are missing, as Docker does.
func makeSources(mounts []store.Mount) error {
	for _, m := range mounts {
		if m.CreateSource && !exists(m.Source) {
			if err := os.MkdirAll(m.Source, 0o755); err != nil {
				return fmt.Errorf("making the source of a mount: %w", err)
			}
		}
	}
	return nil
}
