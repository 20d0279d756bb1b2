package conmon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/userns"
)

// pingGroups is the sysctl of the groups that may ping (icmp(7)). The kernel refuses a
// range that reaches beyond the ids of the user namespace; package oci cuts it, others
// give up.
const pingGroups = "net.ipv4.ping_group_range"

// fitSysctls makes a config's sysctls such as the kernel takes of a container with
// these groups.
func fitSysctls(spec *specs.Spec, groups []userns.IDMap) {
	asked, ok := spec.Linux.Sysctl[pingGroups]
	if !ok {
		return
	}
	var gidMap strings.Builder
	for _, g := range groups {
		fmt.Fprintln(&gidMap, g.Inside, g.Outside, g.Size)
	}
	linux := *spec.Linux
	linux.Sysctl = maps.Clone(linux.Sysctl)
	linux.Sysctl[pingGroups] = oci.ExistingGroups(asked, gidMap.String())
	spec.Linux = &linux
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
