package completions

import (
	"os"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Capabilities are the names that --cap-add and --cap-drop take (capabilities(7)).
func Capabilities() []string {
	return strings.Fields(`ALL
		AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
		DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN
		MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID
		SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT
		SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`)
}

// Ulimits are the names that --ulimit takes (setrlimit(2)), each with "=".
func Ulimits() []string {
	return strings.Fields(`core= cpu= data= fsize= locks= memlock= msgqueue= nice= nofile=
		nproc= rss= rtprio= rttime= sigpending= stack=`)
}

// Platforms are those that images are commonly built for.
func Platforms() []string {
	return []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x"}
}

// Signals are the names of signals without SIG (signal(7)).
func Signals() []string {
	var names []string
	for n := unix.Signal(1); n < 32; n++ {
		if name := unix.SignalName(n); name != "" {
			names = append(names, strings.TrimPrefix(name, "SIG"))
		}
	}
	sort.Strings(names)
	return names
}

// Environment are the names of the caller's variables, as --env may take them over.
func Environment() []string {
	var names []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); name != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
