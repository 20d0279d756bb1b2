package userns

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// Range are Count subordinate ids from Start on, as a line of /etc/subuid gives them (subuid(5)).
type Range struct {
	Start, Count uint32
}

// sources is where a host keeps its subordinate ids.
type sources struct {
	subuid, subgid string // files of subuid(5) and subgid(5)
	nsswitch       string // nsswitch.conf(5)
	name           func(uid int) string
	getsubids      func(name string, groups bool) []Range
}

func hostSources() sources {
	return sources{"/etc/subuid", "/etc/subgid", "/etc/nsswitch.conf", loginName, getsubids}
}

// subordinate returns the ranges of user and group ids that uid may use: from the
// files or, where nsswitch.conf names another source, from that alone, as newuidmap does.
func (s sources) subordinate(uid int) (uids, gids []Range, err error) {
	name := s.name(uid)
	if s.fromDirectory() {
		if name != "" {
			uids, gids = s.getsubids(name, false), s.getsubids(name, true)
		}
	} else {
		if uids, err = ranges(s.subuid, name, uid); err != nil {
			return nil, nil, err
		}
		if gids, err = ranges(s.subgid, name, uid); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case len(uids) == 0:
		return nil, nil, noSubordinate(name, uid, s.subuid)
	case len(gids) == 0:
		return nil, nil, noSubordinate(name, uid, s.subgid)
	}
	return uids, gids, nil
}

// loginName is the name of a user, or "". Users of a directory are not in
// /etc/passwd, which is all that Go reads without cgo; getent(1) knows them.
func loginName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	if out, err := exec.Command("getent", "passwd", id).Output(); err == nil {
		name, _, _ := strings.Cut(string(out), ":")
		return name
	}
	if uid == os.Geteuid() {
		if out, err := exec.Command("id", "-un").Output(); err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	return ""
}

// ranges reads the lines of a user, named by login name or by number.
func ranges(path, name string, uid int) ([]Range, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading subordinate ids: %w", err)
	}
	defer f.Close()
	var found []Range
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		owner, r, ok := parseRange(lines.Text())
		if ok && (owner == strconv.Itoa(uid) || name != "" && owner == name) {
			found = append(found, r)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return found, nil
}

// parseRange splits "owner:start:count". Lines that are none are passed over, as
// newuidmap does.
func parseRange(line string) (owner string, r Range, ok bool) {
	fields := strings.Split(strings.TrimSpace(line), ":")
	if len(fields) != 3 || fields[0] == "" || strings.HasPrefix(fields[0], "#") {
		return "", Range{}, false
	}
	start, err1 := strconv.ParseUint(fields[1], 10, 32)
	count, err2 := strconv.ParseUint(fields[2], 10, 32)
	if err1 != nil || err2 != nil || count == 0 || start+count > 1<<32-1 {
		return "", Range{}, false
	}
	return fields[0], Range{uint32(start), uint32(count)}, true
}

// fromDirectory tells whether nsswitch.conf has a source for subid other than the files.
func (s sources) fromDirectory() bool {
	data, err := os.ReadFile(s.nsswitch)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if source, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			return strings.TrimSpace(source) != "files"
		}
	}
	return false
}

// getsubids asks getsubids(1), whose lines read "0: name 100000 65536".
func getsubids(name string, groups bool) []Range {
	args := []string{name}
	if groups {
		args = []string{"-g", name}
	}
	out, err := exec.Command("getsubids", args...).Output()
	if err != nil {
		return nil
	}
	var found []Range
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue
		}
		if _, r, ok := parseRange(f[1] + ":" + f[2] + ":" + f[3]); ok {
			found = append(found, r)
		}
	}
	return found
}
