package ociruntime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"golang.org/x/sys/unix"
)

// settle takes out of a spec what the runtime spec has a runtime warn of rather than
// refuse, and what means nothing on this host.
func (r *Runtime) settle(s *specs.Spec) error {
	r.settleProcess(s.Process)
	if s.Linux.MountLabel != "" && !hasSELinux() {
		r.warn("the SELinux mount label %q means nothing on this host", s.Linux.MountLabel)
		s.Linux.MountLabel = ""
	}
	known := oci.MountOptions()
	for i := range s.Mounts {
		m := &s.Mounts[i]
		if m.Type != "bind" && !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind") {
			continue
		}
		// A bind mount has no file system to tell them to: mount(2) ignores them as well.
		m.Options = slices.DeleteFunc(slices.Clone(m.Options), func(option string) bool {
			foreign := !slices.Contains(known, option)
			if foreign {
				r.warn("the bind mount at %q has no option %q", m.Destination, option)
			}
			return foreign
		})
	}
	return checkLabels(s.Process)
}

// settleProcess is for the process of exec as well.
func (r *Runtime) settleProcess(p *specs.Process) {
	c := p.Capabilities
	if c == nil {
		return
	}
	granted := grantable()
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
		*set = slices.DeleteFunc(slices.Clone(*set), func(name string) bool {
			// What is known and cannot be granted stays for the kernel to cut off.
			known := slices.ContainsFunc(oci.CapabilityNames(), func(have string) bool { return strings.EqualFold(have, name) })
			if !known || granted != nil && !granted[strings.ToUpper(name)] {
				r.warn("capability %q cannot be granted here", name)
			}
			return !known
		})
	}
}

// grantable are the capabilities that this process may pass on, nil where that cannot be told.
func grantable() map[string]bool {
	all := map[string]bool{}
	for number, name := range oci.CapabilityNames() {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(number), 0, 0, 0)
		if err == nil && has == 1 {
			all[name] = true
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func hasSELinux() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &st) == nil && st.Type == unix.SELINUX_MAGIC
}

// checkLabels refuses what the host would not enforce: the process would be less
// confined than it was meant to be.
func checkLabels(p *specs.Process) error {
	if p.SelinuxLabel != "" && !hasSELinux() {
		return fmt.Errorf("the SELinux label %q cannot be applied: this host has no SELinux", p.SelinuxLabel)
	}
	if p.ApparmorProfile == "" || p.ApparmorProfile == oci.Unconfined && !oci.AppArmorConfined() {
		p.ApparmorProfile = "" // the process keeps what its caller has
		return nil
	}
	if !oci.AppArmor() {
		return fmt.Errorf("the AppArmor profile %q cannot be applied: this host has no AppArmor", p.ApparmorProfile)
	}
	return nil
}
