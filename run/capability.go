package run

import (
	"fmt"
	"slices"
	"strings"
)

// capabilities are those of capabilities(7) by number.
var capabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
	"CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
	"CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
	"CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// defaultCapabilities are Docker's fourteen.
var defaultCapabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
	"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

const allCapabilities = "ALL"

// normalCapabilities brings names into the form "CAP_…", or "ALL".
func normalCapabilities(names []string, flag string) ([]string, error) {
	var normal []string
	for _, name := range names {
		upper := strings.ToUpper(strings.TrimSpace(name))
		if upper != allCapabilities && !strings.HasPrefix(upper, "CAP_") {
			upper = "CAP_" + upper
		}
		if upper != allCapabilities && !slices.Contains(capabilities[:], upper) {
			return nil, fmt.Errorf("%s: unknown capability %q", flag, name)
		}
		normal = append(normal, upper)
	}
	return normal, nil
}

// joinCapabilities is Docker's way from its defaults to a container's set. Names
// are normal. With privileged it is every one.
func joinCapabilities(add, drop []string, privileged bool) []string {
	var set []string
	switch {
	case privileged:
		return capabilities[:]
	case slices.Contains(add, allCapabilities):
		set = capabilities[:]
		add = nil
	case slices.Contains(drop, allCapabilities):
		drop = nil
	default:
		set = defaultCapabilities[:]
	}
	joined := make([]string, 0, len(set)+len(add))
	for _, name := range set {
		if !slices.Contains(drop, name) {
			joined = append(joined, name)
		}
	}
	for _, name := range add {
		if !slices.Contains(joined, name) {
			joined = append(joined, name)
		}
	}
	return joined
}
