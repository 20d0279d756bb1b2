package run

import (
	"fmt"
	"maps"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// spec is the container's OCI config, complete but for what only the shim can
// tell: the user's ids and HOME.
func (p *plan) spec(dir string, caps []string) (*specs.Spec, error) {
	r := p.record
	c, h := &r.Config, &r.HostConfig
	p.dir = dir
	mounts, err := p.mounts(dir)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: "merged", Readonly: h.ReadonlyRootfs},
		Process: &specs.Process{
			Terminal:        c.Tty,
			Args:            append([]string{r.Path}, r.Args...),
			Env:             processEnv(c.Env, c.Hostname, c.Tty),
			Cwd:             c.WorkingDir,
			User:            specs.User{Umask: umaskOf(c.Umask)},
			NoNewPrivileges: p.security.noNewPrivileges,
			ApparmorProfile: p.security.appArmor,
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:         rlimitsOf(h.Ulimits),
		},
		Mounts:      mounts,
		Annotations: p.annotations(),
		Linux:       &specs.Linux{Namespaces: p.namespaces(), Sysctl: p.sysctls()},
	}
	if h.UTSMode != modeHost {
		s.Hostname, s.Domainname = c.Hostname, c.Domainname
	}
	if score := h.OomScoreAdj; score != 0 {
		s.Process.OOMScoreAdj = &score
	}
	s.Process.Env = joinEnv(s.Process.Env, p.secretEnv())
	p.edit(s)
	s.Linux.UIDMappings, s.Linux.GIDMappings = specMaps(h.IDMappings)
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = p.security.hidden(h.Privileged)
	return s, nil
}

// namespaces are those that the container does not share with the host.
func (p *plan) namespaces() []specs.LinuxNamespace {
	h := &p.record.HostConfig
	// Without maps the shim gives it the ids that there are.
	all := []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UserNamespace}}
	// That of another container is a path which its next start changes: see joinPeers.
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		mode string
	}{
		{specs.IPCNamespace, h.IpcMode}, {specs.UTSNamespace, h.UTSMode}, {specs.CgroupNamespace, h.CgroupnsMode}, {specs.PIDNamespace, h.PidMode},
	} {
		if n.mode != modeHost {
			all = append(all, specs.LinuxNamespace{Type: n.kind})
		}
	}
	if p.network.Mode != netns.Host {
		all = append(all, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: p.network.Mode.Path()})
	}
	return all
}

// sysctls are those asked for, over the two that let any user of a container ping
// and serve on low ports, as Docker and podman have it. The runtime cuts the range of
// groups down to those that exist in the container.
func (p *plan) sysctls() map[string]string {
	all := map[string]string{}
	if p.network.Mode.Private() {
		all["net.ipv4.ping_group_range"] = "0 2147483647"
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
	}
	maps.Copy(all, p.record.HostConfig.Sysctls)
	return all
}

func rlimitsOf(ulimits []store.Ulimit) []specs.POSIXRlimit {
	var all []specs.POSIXRlimit
	for _, u := range ulimits {
		all = append(all, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: limitValue(u.Soft), Hard: limitValue(u.Hard)})
	}
	return all
}

// maskedPaths are those that Docker 28 hides from containers.
func maskedPaths() []string {
	paths := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	// What a processor's throttling tells of its neighbours (moby GHSA-6fw5-f8r9-fgfm).
	for cpu := 0; ; cpu++ {
		path := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/thermal_throttle", cpu)
		if !exists(path) {
			return paths
		}
		paths = append(paths, path)
	}
}

// readonlyPaths are those that Docker lets containers only read.
var readonlyPaths = [...]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
