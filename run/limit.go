package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// rlimits are the resources of getrlimit(2) by Docker's names.
var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// parseUlimits reads --ulimit NAME=SOFT[:HARD]. The last of a name counts.
func parseUlimits(specs []string) ([]store.Ulimit, error) {
	var all []store.Ulimit
	for _, spec := range specs {
		parsed, err := units.ParseUlimit(spec)
		if err != nil {
			return nil, fmt.Errorf("parsing ulimit %q: %w", spec, err)
		}
		if _, known := rlimits[parsed.Name]; !known {
			return nil, fmt.Errorf("parsing ulimit %q: unknown resource %q", spec, parsed.Name)
		}
		limit := store.Ulimit{Name: parsed.Name, Soft: parsed.Soft, Hard: parsed.Hard}
		if err := checkRlimit(limit); err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(u store.Ulimit) bool { return u.Name == limit.Name })
		all = append(all, limit)
	}
	return all, nil
}

// checkRlimit refuses a limit above the caller's own: to raise one takes
// CAP_SYS_RESOURCE in the initial user namespace, which no container of skiff's has.
func checkRlimit(u store.Ulimit) error {
	var own unix.Rlimit
	if err := unix.Getrlimit(rlimits[u.Name], &own); err != nil {
		return fmt.Errorf("reading the limit %q: %w", u.Name, err)
	}
	if limitValue(u.Hard) <= own.Max {
		return nil
	}
	return &userns.HostError{
		What: fmt.Sprintf("ulimit %s=%d:%d is above the hard limit of this user, %d", u.Name, u.Soft, u.Hard, own.Max),
		Hint: fmt.Sprintf("raise it in /etc/security/limits.conf and log in again, or ask for at most %d", own.Max),
	}
}

// limitValue turns Docker's -1 into the kernel's RLIM_INFINITY.
func limitValue(v int64) uint64 {
	if v < 0 {
		return unix.RLIM_INFINITY
	}
	return uint64(v)
}

// defaultShmSize is Docker's, 64 MiB.
const defaultShmSize = 64 << 20

func parseShmSize(text string) (int64, error) {
	if text == "" {
		return defaultShmSize, nil
	}
	n, err := parseBytes(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("parsing shm size %q: not a size such as 64m", text)
	}
	if n == 0 {
		return defaultShmSize, nil
	}
	return n, nil
}

// parseLog checks --log-driver and --log-opt.
func parseLog(driver string, options []string) (store.LogConfig, error) {
	c := store.LogConfig{Type: driver, Config: map[string]string{}}
	if driver == "" {
		c.Type = "json-file"
	}
	if c.Type != "json-file" && c.Type != "none" {
		return c, fmt.Errorf("log driver %q is not supported: use json-file or none", driver)
	}
	for _, option := range options {
		key, value, given := strings.Cut(option, "=")
		if !given {
			return c, fmt.Errorf("parsing log option %q: not KEY=VALUE", option)
		}
		if c.Type == "none" || key != "max-size" && key != "max-file" {
			refused := &userns.HostError{What: fmt.Sprintf("unknown log opt %q for %s log driver", key, c.Type), Hint: "json-file has max-size and max-file"}
			if c.Type == "none" {
				refused.Hint = "it keeps nothing and has no options"
			}
			return c, refused
		}
		if err := checkLogOption(key, value); err != nil {
			return c, err
		}
		c.Config[key] = value
	}
	return c, nil
}

func checkLogOption(key, value string) error {
	if key == "max-size" {
		if n, err := parseBytes(value); value != "-1" && (err != nil || n <= 0) {
			return fmt.Errorf("parsing log option max-size=%q: not a size such as 10m", value)
		}
		return nil
	}
	var n int
	if _, err := fmt.Sscanf(value+"\n", "%d\n", &n); err != nil || n < 1 {
		return fmt.Errorf("parsing log option max-file=%q: not a number from 1 on", value)
	}
	return nil
}
