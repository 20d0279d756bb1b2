package oci

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilityNames are the names of capabilities(7), each at its number.
var capabilityNames = [...]string{
	unix.CAP_CHOWN:              "CAP_CHOWN",
	unix.CAP_DAC_OVERRIDE:       "CAP_DAC_OVERRIDE",
	unix.CAP_DAC_READ_SEARCH:    "CAP_DAC_READ_SEARCH",
	unix.CAP_FOWNER:             "CAP_FOWNER",
	unix.CAP_FSETID:             "CAP_FSETID",
	unix.CAP_KILL:               "CAP_KILL",
	unix.CAP_SETGID:             "CAP_SETGID",
	unix.CAP_SETUID:             "CAP_SETUID",
	unix.CAP_SETPCAP:            "CAP_SETPCAP",
	unix.CAP_LINUX_IMMUTABLE:    "CAP_LINUX_IMMUTABLE",
	unix.CAP_NET_BIND_SERVICE:   "CAP_NET_BIND_SERVICE",
	unix.CAP_NET_BROADCAST:      "CAP_NET_BROADCAST",
	unix.CAP_NET_ADMIN:          "CAP_NET_ADMIN",
	unix.CAP_NET_RAW:            "CAP_NET_RAW",
	unix.CAP_IPC_LOCK:           "CAP_IPC_LOCK",
	unix.CAP_IPC_OWNER:          "CAP_IPC_OWNER",
	unix.CAP_SYS_MODULE:         "CAP_SYS_MODULE",
	unix.CAP_SYS_RAWIO:          "CAP_SYS_RAWIO",
	unix.CAP_SYS_CHROOT:         "CAP_SYS_CHROOT",
	unix.CAP_SYS_PTRACE:         "CAP_SYS_PTRACE",
	unix.CAP_SYS_PACCT:          "CAP_SYS_PACCT",
	unix.CAP_SYS_ADMIN:          "CAP_SYS_ADMIN",
	unix.CAP_SYS_BOOT:           "CAP_SYS_BOOT",
	unix.CAP_SYS_NICE:           "CAP_SYS_NICE",
	unix.CAP_SYS_RESOURCE:       "CAP_SYS_RESOURCE",
	unix.CAP_SYS_TIME:           "CAP_SYS_TIME",
	unix.CAP_SYS_TTY_CONFIG:     "CAP_SYS_TTY_CONFIG",
	unix.CAP_MKNOD:              "CAP_MKNOD",
	unix.CAP_LEASE:              "CAP_LEASE",
	unix.CAP_AUDIT_WRITE:        "CAP_AUDIT_WRITE",
	unix.CAP_AUDIT_CONTROL:      "CAP_AUDIT_CONTROL",
	unix.CAP_SETFCAP:            "CAP_SETFCAP",
	unix.CAP_MAC_OVERRIDE:       "CAP_MAC_OVERRIDE",
	unix.CAP_MAC_ADMIN:          "CAP_MAC_ADMIN",
	unix.CAP_SYSLOG:             "CAP_SYSLOG",
	unix.CAP_WAKE_ALARM:         "CAP_WAKE_ALARM",
	unix.CAP_BLOCK_SUSPEND:      "CAP_BLOCK_SUSPEND",
	unix.CAP_AUDIT_READ:         "CAP_AUDIT_READ",
	unix.CAP_PERFMON:            "CAP_PERFMON",
	unix.CAP_BPF:                "CAP_BPF",
	unix.CAP_CHECKPOINT_RESTORE: "CAP_CHECKPOINT_RESTORE",
}

// CapabilityNames returns the names of all capabilities that skiff knows, in the
// order of their numbers (capabilities(7)).
func CapabilityNames() []string { return append([]string(nil), capabilityNames[:]...) }

// capabilitySet has a bit for each capability.
type capabilitySet uint64

// capabilityConfig are the five sets of a process.
type capabilityConfig struct {
	Bounding, Effective, Permitted, Inheritable, Ambient capabilitySet
}

// set changes the three sets that capset(2) knows.
func (c *capabilityConfig) set(known capabilitySet) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		shift := 32 * i
		data[i].Effective = uint32((c.Effective & known) >> shift)
		data[i].Permitted = uint32((c.Permitted & known) >> shift)
		data[i].Inheritable = uint32((c.Inheritable & known) >> shift)
	}
	err := unix.Capset(&header, &data[0])
	if err == unix.EPERM {
		// The one who started skiff may have had less itself: a container gets what there is
		// (runtime-spec, "capabilities": what cannot be granted is no error).
		err = c.setWithin(known)
	}
	if err != nil {
		return because(err, "the effective set must lie within the permitted one, that within the bounding one", "setting the capabilities")
	}
	return nil
}

// setWithin is set for no more than this thread has.
func (c *capabilityConfig) setWithin(known capabilitySet) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have, data [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return err
	}
	for i := range data {
		shift := 32 * i
		data[i].Effective = uint32((c.Effective&known)>>shift) & have[i].Permitted
		data[i].Permitted = uint32((c.Permitted&known)>>shift) & have[i].Permitted
		data[i].Inheritable = uint32((c.Inheritable&known)>>shift) & (have[i].Permitted | have[i].Inheritable)
	}
	return unix.Capset(&header, &data[0])
}

// compileCapabilities reads a spec's lists. Without lists a process gets none.
func compileCapabilities(spec *specs.LinuxCapabilities) (c capabilityConfig, err error) {
	if spec == nil {
		return c, nil
	}
	for _, s := range []struct {
		set   *capabilitySet
		names []string
	}{
		{&c.Bounding, spec.Bounding},
		{&c.Effective, spec.Effective},
		{&c.Permitted, spec.Permitted},
		{&c.Inheritable, spec.Inheritable},
		{&c.Ambient, spec.Ambient},
	} {
		for _, name := range s.names {
			number := capabilityNumber(name)
			if number < 0 {
				return c, hinted("capabilities(7) lists them", "unknown capability %q", name)
			}
			*s.set |= 1 << number
		}
	}
	return c, nil
}

func capabilityNumber(name string) int {
	for number, known := range capabilityNames {
		if strings.EqualFold(name, known) {
			return number
		}
	}
	return -1
}

// dropBounding drops what may never be had, by exec of a set-id file either. It
// needs CAP_SETPCAP and so comes before anything else is dropped. It returns the
// capabilities that this kernel has: newer names are passed over.
func (c *capabilityConfig) dropBounding() (known capabilitySet, err error) {
	for number := range 64 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(number), 0, 0, 0)
		if err != nil { // EINVAL: beyond the last of this kernel
			break
		}
		known |= 1 << number
		if has == 1 && c.Bounding&(1<<number) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(number), 0, 0, 0); err != nil {
				return 0, fmt.Errorf("dropping capability %d from the bounding set: %w", number, err)
			}
		}
	}
	return known, nil
}

// apply sets what the process has from here on, and what the stage keeps beside until
// set is called. The thread has its final user and kept its permitted capabilities
// over the change (PR_SET_KEEPCAPS).
func (c *capabilityConfig) apply(known, kept capabilitySet) error {
	more := *c
	more.Effective |= kept
	more.Permitted |= kept
	if err := more.set(known); err != nil {
		return err
	}
	// Ambient ones last: the kernel lets only what is permitted and inheritable be ambient.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clearing the ambient capabilities: %w", err)
	}
	for number := range 64 {
		if c.Ambient&known&(1<<number) == 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(number), 0, 0)
		if err == unix.EPERM && c.Permitted&c.Inheritable&(1<<number) != 0 {
			continue // one of those that this thread never had
		}
		if err != nil {
			return because(err, "it must be permitted and inheritable too", "raising ambient capability %s", capabilityNames[number])
		}
	}
	return nil
}
