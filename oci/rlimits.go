package oci

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns/rlimit"
	"golang.org/x/sys/unix"
)

// rlimitNumbers are the names of getrlimit(2).
var rlimitNumbers = map[string]int{
	"RLIMIT_AS":         unix.RLIMIT_AS,
	"RLIMIT_CORE":       unix.RLIMIT_CORE,
	"RLIMIT_CPU":        unix.RLIMIT_CPU,
	"RLIMIT_DATA":       unix.RLIMIT_DATA,
	"RLIMIT_FSIZE":      unix.RLIMIT_FSIZE,
	"RLIMIT_LOCKS":      unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK":    unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE":   unix.RLIMIT_MSGQUEUE,
	"RLIMIT_NICE":       unix.RLIMIT_NICE,
	"RLIMIT_NOFILE":     unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC":      unix.RLIMIT_NPROC,
	"RLIMIT_RSS":        unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO":     unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME":     unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK":      unix.RLIMIT_STACK,
}

// rlimitConfig is one limit of a process.
type rlimitConfig struct {
	Name       string
	Number     int
	Soft, Hard uint64
}

func compileRlimits(wanted []specs.POSIXRlimit) ([]rlimitConfig, error) {
	var all []rlimitConfig
	for _, w := range wanted {
		number, ok := rlimitNumbers[w.Type]
		name := strings.ToLower(strings.TrimPrefix(w.Type, "RLIMIT_"))
		switch {
		case !ok:
			return nil, hinted("getrlimit(2) lists them", "unknown limit %q", w.Type)
		case w.Soft > w.Hard:
			return nil, hinted("give it as soft:hard", "limit %s: the soft limit %d is above the hard limit %d", name, w.Soft, w.Hard)
		}
		all = append(all, rlimitConfig{name, number, w.Soft, w.Hard})
	}
	return all, nil
}

// checkRlimits finds what the kernel will refuse, while words can still be chosen:
// an ordinary user may lower a hard limit and never raise it, root of a user
// namespace neither (setrlimit(2)). The host's root may, and has raised it then.
func checkRlimits(all []rlimitConfig) error {
	for _, l := range all {
		var have unix.Rlimit
		if err := unix.Prlimit(0, l.Number, nil, &have); err != nil {
			return fmt.Errorf("reading the limit %s: %w", l.Name, err)
		}
		if l.Hard > have.Max && unix.Prlimit(0, l.Number, &unix.Rlimit{Cur: have.Cur, Max: l.Hard}, nil) != nil {
			return because(unix.EPERM, fmt.Sprintf("the host allows this user %s; more is given in /etc/security/limits.conf or the service's Limit%s=", limitText(have.Max), strings.ToUpper(l.Name)),
				"raising the limit %s to %s", l.Name, limitText(l.Hard))
		}
	}
	return nil
}

func limitText(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// restoreNofile gives back the soft limit on open files with which the stage was
// started: Go raises its own to the hard limit, and exec would pass that on.
func restoreNofile() error {
	start, ok := rlimit.Nofile()
	if !ok {
		return nil
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: start.Cur, Max: start.Max}, nil); err != nil {
		return fmt.Errorf("restoring the limit nofile: %w", err)
	}
	return nil
}

// setRlimits is the last of the preparations: a limit on files, memory or processes
// could stand in the way of any other.
func setRlimits(all []rlimitConfig) error {
	if err := restoreNofile(); err != nil {
		return err
	}
	for _, l := range all {
		if err := unix.Prlimit(0, l.Number, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil); err != nil {
			return fmt.Errorf("setting the limit %s to %s:%s: %w", l.Name, limitText(l.Soft), limitText(l.Hard), err)
		}
	}
	return nil
}
