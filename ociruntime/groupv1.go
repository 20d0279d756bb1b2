package ociruntime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
)

// setOld sets what the library leaves out on hosts with version 1 of cgroups
// (Documentation/admin-guide/cgroup-v1).
func (g *group) setOld() error {
	if cgroups.IsCgroup2UnifiedMode() {
		return nil
	}
	if g.asked != nil && g.asked.Memory != nil && g.asked.Memory.KernelTCP != nil {
		if err := writeGroup(g.manager.Path("memory"), "memory.kmem.tcp.limit_in_bytes", strconv.FormatInt(*g.asked.Memory.KernelTCP, 10)); err != nil {
			return err
		}
	}
	return g.setDevices()
}

// setDevices writes the rules for devices in the order in which they were given, as the
// runtime spec wants it: the container's process does not run yet. Where one that denies
// comes after one that allows, the kernel may make something else of them, and it is
// left to the library to work out what they come to.
func (g *group) setDevices() error {
	r := g.config.Resources
	folder := g.manager.Path("devices")
	if r.SkipDevices || folder == "" || !orderly(r.Devices) {
		return nil
	}
	if err := writeGroup(folder, "devices.deny", "a"); err != nil {
		return err
	}
	for _, rule := range r.Devices {
		if !rule.Allow {
			continue // all are denied
		}
		if err := writeGroup(folder, "devices.allow", rule.CgroupString()); err != nil {
			return err
		}
	}
	r.SkipDevices = true
	return nil
}

// orderly tells whether the rules deny first and then only allow, device by device.
func orderly(rules []*devices.Rule) bool {
	allowing := false
	for _, r := range rules {
		switch {
		case r.Allow && r.Type == devices.WildcardDevice:
			return false // everything
		case r.Allow:
			allowing = true
		case allowing:
			return false
		}
	}
	return true
}

func writeGroup(folder, name, value string) error {
	if folder == "" {
		return fmt.Errorf("setting %s: the container is in no such cgroup", name)
	}
	err := os.WriteFile(filepath.Join(folder, name), []byte(value), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this kernel has no limit %s", name)
	}
	return err
}
