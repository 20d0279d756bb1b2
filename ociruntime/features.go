package ociruntime

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/run/seccomp"
)

// Features tells what this runtime can do, whatever the host can (runtime-spec, features.md).
func Features() *features.Features {
	yes, no := true, false
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  oci.MountOptions(),
		Linux: &features.Linux{
			Namespaces:   oci.NamespaceTypes(),
			Capabilities: oci.CapabilityNames(),
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
			Seccomp: &features.Seccomp{Enabled: &yes, Actions: seccomp.Actions(), Operators: seccomp.Operators(), Archs: seccomp.Architectures(),
				KnownFlags: seccomp.FilterFlags(), SupportedFlags: seccomp.FilterFlags()},
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &no, Schemata: &no, Monitoring: &no},
			MemoryPolicy:    memoryPolicy(),
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
	}
}

func memoryPolicy() *features.MemoryPolicy {
	modes, flags := oci.MemoryPolicies()
	return &features.MemoryPolicy{Modes: modes, Flags: flags}
}
