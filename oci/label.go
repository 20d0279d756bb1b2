package oci

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// labelFiles are where the kernel takes the label that a thread gets with its next
// exec: AppArmor's profile and SELinux's context.
const (
	appArmorFile = "thread-self/attr/apparmor/exec"
	legacyFile   = "thread-self/attr/exec" // AppArmor's before 5.8, and SELinux's
)

// openLabels opens the files for the labels that the process is to have. The host's
// /proc serves in the init stage; that of a container, in which it may have had a
// hand, is used only where it is the root of a procfs and nothing is mounted in
// between (CVE-2019-16884, CVE-2025-52881).
func (p *processConfig) openLabels() ([]int, error) {
	if p.Rare == nil || p.Rare.AppArmor == "" && p.Rare.SELinux == "" {
		return nil, nil
	}
	proc, err := openProc()
	if err != nil {
		return nil, fmt.Errorf("setting the label of the process: %w", err)
	}
	defer unix.Close(proc)
	var all []int
	if p.Rare.AppArmor != "" {
		fd, err := openLabel(proc, appArmorFile)
		if errors.Is(err, unix.ENOENT) {
			fd, err = openLabel(proc, legacyFile)
		}
		if err != nil {
			return nil, because(err, "leave the profile out on a host without AppArmor", "setting the AppArmor profile %q", p.Rare.AppArmor)
		}
		all = append(all, fd)
	}
	if p.Rare.SELinux != "" {
		fd, err := openLabel(proc, legacyFile)
		if err != nil {
			return nil, because(err, "leave the label out on a host without SELinux", "setting the SELinux label %q", p.Rare.SELinux)
		}
		all = append(all, fd)
	}
	return all, nil
}

func openLabel(proc int, name string) (int, error) {
	return unix.Openat2(proc, name, &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS})
}

// takeLabels writes them, just before exec: what comes between would be judged by them.
func (p *processConfig) takeLabels(files []int) error {
	if len(files) == 0 {
		return nil
	}
	if p.Rare.AppArmor != "" {
		if err := writeLabel(files[0], "exec "+p.Rare.AppArmor); err != nil {
			hint := "the profile must be loaded: sudo apparmor_parser -r FILE; aa-status lists those that are"
			if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
				hint = "the caller is held by a profile, which must permit it: change_profile -> " + p.Rare.AppArmor
			}
			return because(err, hint, "setting the AppArmor profile %q", p.Rare.AppArmor)
		}
		files = files[1:]
	}
	if p.Rare.SELinux != "" {
		if err := writeLabel(files[0], p.Rare.SELinux); err != nil {
			return because(err, "leave the label out on a host without SELinux", "setting the SELinux label %q", p.Rare.SELinux)
		}
	}
	return nil
}

func writeLabel(fd int, label string) error {
	_, err := unix.Write(fd, []byte(label))
	return err
}
