package run

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// opposites are the flags of mount(8) that --tmpfs takes, each with what it overrides.
var opposites = map[string]string{
	"ro": "rw", "rw": "ro", "suid": "nosuid", "nosuid": "suid", "dev": "nodev", "nodev": "dev", "exec": "noexec", "noexec": "exec",
	"sync": "async", "async": "sync", "dirsync": "", "atime": "noatime", "noatime": "atime", "diratime": "nodiratime", "nodiratime": "diratime",
	"relatime": "norelatime", "norelatime": "relatime", "strictatime": "nostrictatime", "nostrictatime": "strictatime",
}

// parseTmpfs reads --tmpfs TARGET[:OPTIONS].
func parseTmpfs(spec string) (target, options string, err error) {
	target, options, _ = strings.Cut(spec, ":")
	m := store.Mount{}
	if err := setTarget(&m, target); err != nil {
		return "", "", fmt.Errorf("parsing tmpfs %q: %w", spec, err)
	}
	if _, err := tmpfsOptions(options); err != nil {
		return "", "", fmt.Errorf("parsing tmpfs %q: %w", spec, err)
	}
	return m.Target, options, nil
}

// tmpfsOptions lays what the user asked for over Docker's noexec,nosuid,nodev.
func tmpfsOptions(asked string) ([]string, error) {
	options := []string{"noexec", "nosuid", "nodev"}
	if asked == "" {
		return options, nil
	}
	for _, option := range strings.Split(asked, ",") {
		key, value, valued := strings.Cut(option, "=")
		opposite, isFlag := opposites[option]
		switch {
		case isFlag:
			options = slices.DeleteFunc(options, func(have string) bool { return have == option || have == opposite })
		case key == "size" && valued && !strings.HasSuffix(value, "%"):
			if n, err := parseBytes(value); err != nil || n < 0 {
				return nil, fmt.Errorf("invalid size %q", value)
			}
			option = "size=" + strings.TrimSuffix(strings.ToLower(value), "b")
		case valued && slices.Contains([]string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"}, key):
		default:
			return nil, fmt.Errorf("invalid option %q", option)
		}
		if valued {
			options = slices.DeleteFunc(options, func(have string) bool { return strings.HasPrefix(have, key+"=") })
		}
		options = append(options, option)
	}
	return options, nil
}

// below tells whether a path is folder or lies in it. Both are clean.
func below(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}

// depth orders mounts so that none covers one that was made before it.
func depth(target string) int { return strings.Count(path.Clean(target), "/") }
