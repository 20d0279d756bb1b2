package hello

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// capabilityNames are those of capabilities(7) by number.
var capabilityNames = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
	"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
	"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
	"perfmon", "bpf", "checkpoint_restore",
}

func capabilities(hex string) string {
	set, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return ""
	}
	n := bits.OnesCount64(set)
	switch {
	case n == 0:
		return "none"
	case n >= len(capabilityNames):
		return "all, over its own namespaces"
	}
	var names []string
	for i, name := range capabilityNames {
		if set&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return fmt.Sprintf("%d of %d: %s", n, len(capabilityNames), strings.Join(names, " "))
}

func seccomp(status map[string]string) string {
	switch status["Seccomp"] {
	case "0":
		return "off: every system call is allowed"
	case "1":
		return "strict"
	case "2":
		return "filtered"
	}
	return ""
}

func privileges(status map[string]string) string {
	switch status["NoNewPrivs"] {
	case "0":
		return "set-user-id programs work in here"
	case "1":
		return "no new ones can be gained"
	}
	return ""
}
