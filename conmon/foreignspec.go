package conmon

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
)

// pingGroups is the sysctl of the groups that may ping (icmp(7)). The kernel refuses a
// range that reaches beyond the ids of the user namespace; package oci cuts it, others
// give up.
const pingGroups = "net.ipv4.ping_group_range"

// fitSysctls makes a config's sysctls such as the kernel takes here.
func fitSysctls(spec *specs.Spec) error {
	asked, ok := spec.Linux.Sysctl[pingGroups]
	if !ok {
		return nil
	}
	var low, high uint32
	if n, err := fmt.Sscan(asked, &low, &high); n != 2 || err != nil {
		return nil // the runtime says what is wrong with it
	}
	mapping, err := userns.Of(os.Getpid())
	if err != nil {
		return err
	}
	var most uint32
	for _, r := range mapping.GIDs {
		most = max(most, r.Inside+r.Size-1)
	}
	linux := *spec.Linux
	linux.Sysctl = maps.Clone(linux.Sysctl)
	linux.Sysctl[pingGroups] = fmt.Sprintf("%d %d", low, min(high, most))
	spec.Linux = &linux
	return nil
}

// fitMounts has a container on a network namespace that is not U's bind the host's
// /sys, as a new one cannot be mounted there.
func fitMounts(spec *specs.Spec) {
	own := slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
	if own {
		return
	}
	spec.Mounts = slices.Clone(spec.Mounts)
	for i, m := range spec.Mounts {
		if m.Type == "sysfs" {
			spec.Mounts[i] = specs.Mount{Destination: m.Destination, Type: "bind", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
		}
	}
}
