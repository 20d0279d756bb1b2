package oci

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// config is what a stage is told. The starter compiles it from the spec, so that
// what is wrong with a spec is found before anything is started, and the stage,
// which stands on the way of every start, has little to read.
type config struct {
	Process   processConfig
	Container *containerConfig // for the init stage
}

// processConfig are the attributes of a process, for both stages.
type processConfig struct {
	Args, Env       []string
	Cwd             string
	UID, GID        uint32
	Groups          []uint32
	SetGroups       bool // false where the namespace denies setgroups(2)
	Umask           uint32
	Terminal        bool
	Size            [2]uint16 // rows, columns
	Capabilities    capabilityConfig
	Rlimits         []rlimitConfig
	NoNewPrivileges bool
	FilterFlags     uint32       // SECCOMP_FILTER_FLAG_*
	Notify          bool         // the filter's listener goes to the starter
	Hold            bool         // wait at the passed listener when all is made
	Outlives        bool         // its starter
	Preserved       int          // descriptors from 3 on that it keeps
	Hooks           []hookConfig // startContainer
	Rare            *rareConfig
}

// containerConfig is what the init stage makes before it.
type containerConfig struct {
	Rootfs               string
	Readonly             bool
	Propagation          uint64
	PropagateBeneath     bool
	Hostname, Domainname string
	Created              uintptr  // CLONE_NEW* of the namespaces that are new
	Joined               []string // names of the passed descriptors of those that are not
	Mounts               []mountConfig
	Devices              []deviceConfig // none where /dev is the host's
	Masked, ReadonlyPath []string
	Sysctls              []sysctlConfig
	Init                 bool
	NoPivot              bool
	AllCgroups           bool         // hierarchies of version 1 too
	Announce             bool         // tell the starter before the root is changed, and wait: its hooks
	Hooks                []hookConfig // createContainer
	TimeOffsets          string

	// Trees are the root file system and the sources of bind mounts, in order, as
	// descriptors, each side's own: for a user who is another one here, paths may lead
	// nowhere. Empty where the stage is to find them by their paths.
	Trees []int
}

// compileProcess reads a spec's process. mapping is that of the user namespace in
// which it will run.
func compileProcess(p *specs.Process, mapping *userns.Mapping) (c processConfig, err error) {
	if p == nil || len(p.Args) == 0 {
		return c, &Error{Code: codeSetup, Text: "no command specified", Hint: "the image names none: give one"}
	}
	c = processConfig{
		Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		UID: p.User.UID, GID: p.User.GID, Groups: p.User.AdditionalGids,
		Umask: 0o022, Terminal: p.Terminal, NoNewPrivileges: p.NoNewPrivileges,
	}
	if c.Cwd == "" {
		c.Cwd = "/"
	}
	if !path.IsAbs(c.Cwd) {
		return c, hinted("begin it with /", "working directory %q is not absolute", c.Cwd)
	}
	if p.User.Umask != nil {
		c.Umask = *p.User.Umask
	}
	if p.ConsoleSize != nil {
		c.Size = [2]uint16{uint16(p.ConsoleSize.Height), uint16(p.ConsoleSize.Width)}
	}
	if err := checkIDs(&c, mapping); err != nil {
		return c, err
	}
	if c.Capabilities, err = compileCapabilities(p.Capabilities); err != nil {
		return c, err
	}
	if c.UID != 0 {
		// Exec leaves a user other than root its ambient ones alone (capabilities(7)). To
		// have more until then would only find programs that the user may not execute.
		c.Capabilities.Effective &= c.Capabilities.Ambient
		c.Capabilities.Permitted &= c.Capabilities.Ambient
	}
	if c.Rare, err = compileRare(p); err != nil {
		return c, err
	}
	c.Rlimits, err = compileRlimits(p.Rlimits)
	return c, err
}

// checkIDs refuses ids that the user namespace does not have: setresuid(2) would
// say "invalid argument".
func checkIDs(c *processConfig, mapping *userns.Mapping) error {
	const hint = "more ids are mapped by subordinate ids: see subuid(5), sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
	if !userns.Has(mapping.UIDs, c.UID) {
		return hinted(hint, "user id %d is not mapped", c.UID)
	}
	for _, gid := range append([]uint32{c.GID}, c.Groups...) {
		if !userns.Has(mapping.GIDs, gid) {
			return hinted(hint, "group id %d is not mapped", gid)
		}
	}
	return nil
}

// check refuses what cannot be started whatever else the spec says.
func (l *Launch) check() error {
	switch {
	case l.Spec.Linux == nil:
		return fmt.Errorf("reading the container's config: the section %q is missing", "linux")
	case l.Spec.Process == nil:
		return fmt.Errorf("reading the container's config: the section %q is missing", "process")
	case !path.IsAbs(l.Rootfs):
		return fmt.Errorf("root file system %q is not an absolute path", l.Rootfs)
	}
	return unsupported(l.Spec)
}

// compile reads a spec for the init stage.
func (l *Launch) compile(mapping *userns.Mapping, spaces *namespaces) (*config, error) {
	s := l.Spec
	process, err := compileProcess(s.Process, mapping)
	if err != nil {
		return nil, err
	}
	container := &containerConfig{
		Rootfs: path.Clean(l.Rootfs), Readonly: s.Root != nil && s.Root.Readonly,
		Hostname: s.Hostname, Domainname: s.Domainname,
		Masked: s.Linux.MaskedPaths, ReadonlyPath: s.Linux.ReadonlyPaths, Init: l.Init,
	}
	if word := s.Linux.RootfsPropagation; word != "" {
		plain := strings.TrimPrefix(word, "r")
		container.Propagation, container.PropagateBeneath = propagationOptions[plain], plain != word
		if container.Propagation == 0 {
			return nil, fmt.Errorf("root propagation %q is not known", word)
		}
	}
	if err := container.compileMounts(s, mapping, l.Nodes); err != nil {
		return nil, err
	}
	container.Created, container.Joined = spaces.create, spaces.names()
	if container.TimeOffsets, err = compileTimeOffsets(s.Linux.TimeOffsets, spaces.create); err != nil {
		return nil, err
	}
	if process.Rare, err = process.Rare.compileMore(s.Linux); err != nil {
		return nil, err
	}
	if container.Sysctls, err = compileSysctls(s.Linux.Sysctl, spaces.own); err != nil {
		return nil, err
	}
	return &config{Process: process, Container: container}, nil
}

func (c *containerConfig) compileMounts(s *specs.Spec, mapping *userns.Mapping, nodes bool) error {
	hostDev := false
	for _, spec := range s.Mounts {
		m := mountConfig{Destination: path.Clean("/" + spec.Destination), Type: spec.Type, Source: spec.Source}
		if m.Destination == "/" {
			return hinted("use another root file system instead", "mounting on the root %q is not possible", spec.Destination)
		}
		if err := parseOptions(&m, spec.Options); err != nil {
			return err
		}
		if m.Type == "bind" || m.Type == "none" && m.Source != "" {
			m.Bind = true
		}
		if err := m.compileIDMap(&spec); err != nil {
			return err
		}
		if m.Bind && !path.IsAbs(m.Source) {
			return fmt.Errorf("mounting at %q: source %q is not an absolute path", m.Destination, m.Source)
		}
		if m.Bind && len(m.Data) > 0 {
			return hinted("a bind mount takes ro, rw, nosuid, nodev, noexec and propagation", "mounting %q at %q: unknown option %q", m.Source, m.Destination, m.Data[0])
		}
		if m.Type == "devpts" {
			m.Data = mappedGroups(m.Data, mapping)
		}
		if label := s.Linux.MountLabel; label != "" && !m.Bind && takesLabel(m.Type) {
			m.Data = append(m.Data, fmt.Sprintf("context=%q", label))
		}
		hostDev = hostDev || m.Bind && m.Destination == "/dev"
		c.Mounts = append(c.Mounts, m)
	}
	if hostDev {
		return nil
	}
	var err error
	if nodes {
		c.Devices, err = compileNodes(s.Linux.Devices)
	} else {
		c.Devices, err = compileDevices(s.Linux.Devices)
	}
	return err
}

// takesLabel tells the file systems that SELinux labels by a mount option; the kernel
// labels the others by itself.
func takesLabel(kind string) bool {
	return kind == "tmpfs" || kind == "devpts" || kind == "mqueue" || kind == "ramfs"
}

// mappedGroups leaves out gid=5, which stands in every spec, where a namespace with
// a single id has no group 5.
func mappedGroups(data []string, mapping *userns.Mapping) []string {
	var kept []string
	for _, option := range data {
		var gid uint32
		if n, _ := fmt.Sscanf(option, "gid=%d", &gid); n == 1 && !userns.Has(mapping.GIDs, gid) {
			continue
		}
		kept = append(kept, option)
	}
	return kept
}

// setgroupsAllowed tells whether this user namespace lets setgroups(2) be called
// (user_namespaces(7)): not where an ordinary user mapped nothing but itself.
func setgroupsAllowed(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/setgroups", pid))
	return err != nil || strings.TrimSpace(string(data)) != "deny"
}

// unsupported refuses what a spec may ask for and skiff does not do, rather than
// starting something less confined than it was meant to be.
func unsupported(s *specs.Spec) error {
	l := s.Linux
	for _, u := range []struct {
		wanted bool
		what   string
	}{
		{l.IntelRdt != nil, "intelRdt"},
	} {
		if u.wanted {
			return hinted("leave it out", "the container's config asks for %s, which is not supported", u.what)
		}
	}
	return nil
}

// cloneFlags are the CLONE_NEW* flags of the types of namespaces.
var cloneFlags = map[specs.LinuxNamespaceType]uintptr{
	specs.PIDNamespace:     unix.CLONE_NEWPID,
	specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.MountNamespace:   unix.CLONE_NEWNS,
	specs.IPCNamespace:     unix.CLONE_NEWIPC,
	specs.UTSNamespace:     unix.CLONE_NEWUTS,
	specs.CgroupNamespace:  unix.CLONE_NEWCGROUP,
	specs.TimeNamespace:    unix.CLONE_NEWTIME,
	specs.UserNamespace:    unix.CLONE_NEWUSER,
}
