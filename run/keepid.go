package run

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// keepID gives the caller's id, 0 of U, to the same number in the container, and runs
// the container as that user where no other is asked for. A caller with a single
// id has that one and no more, not even root.
func (p *plan) keepID(options, asked string) error {
	if os.Geteuid() == 0 {
		return &userns.HostError{What: "keep-id is only supported in rootless mode", Hint: "leave --userns out: root is root in the container already"}
	}
	numbers, err := numberOptions(modeKeepID, options, "uid", "gid", "size")
	if err != nil {
		return err
	}
	uids, gids, m, err := available()
	if err != nil {
		return err
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if n, ok := numbers["uid"]; ok {
		uid = n
	}
	if n, ok := numbers["gid"]; ok {
		gid = n
	}
	if n, ok := numbers["size"]; ok {
		if n == 0 {
			return fmt.Errorf("--userns %s: size must be more than 0", modeKeepID)
		}
		uids, gids = min(uids, n), min(gids, n)
	}
	if m.Single {
		uids, gids = 1, 1
	}
	if asked == "" {
		p.record.Config.User = fmt.Sprintf("%d:%d", uid, gid)
	}
	return p.setMapping(keepMap(uid, uids), keepMap(gid, gids))
}

// keepMap maps id to 0 of U, and the others, in order, to the rest of n ids.
func keepMap(id, n uint32) []userns.IDMap {
	var maps []userns.IDMap
	below := min(id, n-1)
	if below > 0 {
		maps = append(maps, userns.IDMap{Inside: 0, Outside: 1, Size: below})
	}
	maps = append(maps, userns.IDMap{Inside: id, Outside: 0, Size: 1})
	if n-1 > id {
		maps = append(maps, userns.IDMap{Inside: id + 1, Outside: id + 1, Size: n - 1 - id})
	}
	return maps
}

// numberOptions reads "key=N,key=N".
func numberOptions(mode, options string, keys ...string) (map[string]uint32, error) {
	numbers := map[string]uint32{}
	if options == "" {
		return numbers, nil
	}
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		known := false
		for _, k := range keys {
			known = known || k == key
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if !known || err != nil || n >= 1<<32-1 {
			return nil, &userns.HostError{What: fmt.Sprintf("--userns %s: unknown or bad option %q", mode, option), Hint: "numbers for " + strings.Join(keys, ", ") + " are possible"}
		}
		numbers[key] = uint32(n)
	}
	return numbers, nil
}

// identity is the caller as the container is to know it, nil unless its own id is
// kept as it is: podman adds such an entry to the container's /etc/passwd.
func identity(r *store.Record) (*conmon.Identity, error) {
	h := &r.HostConfig
	mode, options, _ := strings.Cut(h.UsernsMode, ":")
	if mode != modeKeepID || strings.Contains(options, "uid=") || strings.Contains(options, "gid=") {
		return nil, nil
	}
	u := userns.Caller()
	if u == nil {
		return nil, nil
	}
	id := &conmon.Identity{Name: u.Name, Group: u.Group, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), FullName: u.FullName, Home: r.Config.WorkingDir}
	if id.Home == "" {
		id.Home = "/"
	}
	for _, m := range h.Mounts {
		if below(u.Home, m.Target) {
			id.Home = u.Home // it is there
		}
	}
	if strings.ContainsAny(id.Name+id.Group+id.Home, ":\n") {
		return nil, errors.New("the caller's name, group or home has a colon or an end of line in it")
	}
	return id, nil
}
