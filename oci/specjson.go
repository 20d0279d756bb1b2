package oci

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The types of a runtime-spec config reach far: the first use of one costs
// encoding/json half a millisecond and a quarter of a megabyte for fields of
// other platforms, cgroups and seccomp rules, which most configs do not have. So
// a config is written by a type with the common fields, and read without any; what is
// rare is seen and then done the long way.

// commonSpec is specs.Spec with the fields that skiff's own configs have.
type commonSpec struct {
	Version     string            `json:"ociVersion"`
	Process     *commonProcess    `json:"process,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       *commonLinux      `json:"linux,omitempty"`
}

type commonProcess struct {
	Terminal        bool                     `json:"terminal,omitempty"`
	ConsoleSize     *specs.Box               `json:"consoleSize,omitempty"`
	User            specs.User               `json:"user"`
	Args            []string                 `json:"args,omitempty"`
	Env             []string                 `json:"env,omitempty"`
	Cwd             string                   `json:"cwd"`
	Capabilities    *specs.LinuxCapabilities `json:"capabilities,omitempty"`
	Rlimits         []specs.POSIXRlimit      `json:"rlimits,omitempty"`
	NoNewPrivileges bool                     `json:"noNewPrivileges,omitempty"`
	ApparmorProfile string                   `json:"apparmorProfile,omitempty"`
	OOMScoreAdj     *int                     `json:"oomScoreAdj,omitempty"`
	SelinuxLabel    string                   `json:"selinuxLabel,omitempty"`
}

type commonLinux struct {
	UIDMappings       []specs.LinuxIDMapping `json:"uidMappings,omitempty"`
	GIDMappings       []specs.LinuxIDMapping `json:"gidMappings,omitempty"`
	Sysctl            map[string]string      `json:"sysctl,omitempty"`
	CgroupsPath       string                 `json:"cgroupsPath,omitempty"`
	Namespaces        []specs.LinuxNamespace `json:"namespaces,omitempty"`
	Devices           []specs.LinuxDevice    `json:"devices,omitempty"`
	RootfsPropagation string                 `json:"rootfsPropagation,omitempty"`
	MaskedPaths       []string               `json:"maskedPaths,omitempty"`
	ReadonlyPaths     []string               `json:"readonlyPaths,omitempty"`
	MountLabel        string                 `json:"mountLabel,omitempty"`
}

// EncodeSpec is json.Marshal for a config, quick for what skiff makes itself.
func EncodeSpec(s *specs.Spec) ([]byte, error) {
	if c := common(s); c != nil {
		return json.Marshal(c)
	}
	return json.Marshal(s)
}

// DecodeSpec is json.Unmarshal for a config, quick for what skiff makes itself.
func DecodeSpec(data []byte) (*specs.Spec, error) {
	if s := quickSpec(data); s != nil {
		return s, nil
	}
	s := new(specs.Spec)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("parsing the OCI config: %w", err)
	}
	return s, nil
}

// common returns s in the narrow type, or nil where s has more than that holds.
func common(s *specs.Spec) *commonSpec {
	if s.Hooks != nil || s.Solaris != nil || s.Windows != nil || s.VM != nil || s.ZOS != nil || s.FreeBSD != nil {
		return nil
	}
	c := &commonSpec{Version: s.Version, Root: s.Root, Hostname: s.Hostname, Domainname: s.Domainname, Mounts: s.Mounts, Annotations: s.Annotations}
	if p := s.Process; p != nil {
		if p.CommandLine != "" || p.Scheduler != nil || p.IOPriority != nil || p.ExecCPUAffinity != nil {
			return nil
		}
		c.Process = &commonProcess{Terminal: p.Terminal, ConsoleSize: p.ConsoleSize, User: p.User, Args: p.Args, Env: p.Env, Cwd: p.Cwd,
			Capabilities: p.Capabilities, Rlimits: p.Rlimits, NoNewPrivileges: p.NoNewPrivileges,
			ApparmorProfile: p.ApparmorProfile, OOMScoreAdj: p.OOMScoreAdj, SelinuxLabel: p.SelinuxLabel}
	}
	if l := s.Linux; l != nil {
		if l.Resources != nil || l.NetDevices != nil || l.Seccomp != nil || l.IntelRdt != nil || l.MemoryPolicy != nil || l.Personality != nil || l.TimeOffsets != nil {
			return nil
		}
		c.Linux = &commonLinux{UIDMappings: l.UIDMappings, GIDMappings: l.GIDMappings, Sysctl: l.Sysctl, CgroupsPath: l.CgroupsPath,
			Namespaces: l.Namespaces, Devices: l.Devices, RootfsPropagation: l.RootfsPropagation,
			MaskedPaths: l.MaskedPaths, ReadonlyPaths: l.ReadonlyPaths, MountLabel: l.MountLabel}
	}
	return c
}
