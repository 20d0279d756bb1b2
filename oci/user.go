package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxID is the largest id that user namespaces and Docker agree on.
const maxID = 1<<31 - 1

// maxUserFile bounds what is read of a container's passwd and group: a hostile one
// may be of any size. The largest real ones are a few hundred kilobytes.
const maxUserFile = 8 << 20

// LookupUser resolves what `--user` takes ("name", "uid", either with ":group" or
// ":gid", or "") in a container's own /etc/passwd and /etc/group. root is a
// descriptor of its root directory, O_PATH suffices: of a mounted file system or,
// for one that runs, /proc/PID/root.
//
// The rules are Docker's: a number is an id, needs no entry and has group 0 then; a
// name must have one; supplementary groups are those which list the user by name,
// unless a group was given. groupAdd are further groups by name or number
// (`--group-add`). home is the entry's, "/" where there is none.
func LookupUser(root *os.File, user string, groupAdd []string) (u specs.User, home string, err error) {
	passwd, err := readUserFile(root, "etc/passwd")
	if err != nil {
		return u, "", fmt.Errorf("looking up user %q: %w", user, err)
	}
	group, err := readUserFile(root, "etc/group")
	if err != nil {
		return u, "", fmt.Errorf("looking up user %q: %w", user, err)
	}
	return resolveUser(passwd, group, user, groupAdd)
}

// readUserFile reads a small file of the container, nil where there is none. What
// the image put under the name is looked at before it is opened: opening a FIFO
// waits, opening a device may do things.
func readUserFile(dir *os.File, name string) (data []byte, err error) {
	raw, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) { data, err = readRegular(root{int(fd)}, name) })
	if err == nil {
		err = controlErr
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the container's /%s: %w", name, err)
	}
	return data, nil
}

func readRegular(r root, name string) ([]byte, error) {
	fd, err := r.find(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	// The same file again, whatever the name leads to by now.
	open, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(open), name)
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxUserFile+1))
	if err == nil && len(data) > maxUserFile {
		err = fmt.Errorf("larger than %d MiB", maxUserFile>>20)
	}
	return data, err
}

// account is a line of passwd(5).
type account struct {
	name     string
	uid, gid uint32
	home     string
}

// accounts calls yield for each line that is an account. Anything else in a file of
// an image is passed over, as by Docker and the C library.
func accounts(passwd []byte, yield func(account) bool) {
	for line := range bytes.Lines(passwd) {
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 8) // a line may be all colons
		if len(f) < 4 || f[0] == "" {
			continue
		}
		uid, err1 := parseID(f[2])
		gid, err2 := parseID(f[3])
		if err1 != nil || err2 != nil {
			continue
		}
		a := account{name: f[0], uid: uid, gid: gid}
		if len(f) > 5 {
			a.home = f[5]
		}
		if !yield(a) {
			return
		}
	}
}

// groups calls yield for each line of group(5). Members are as they stand there.
func groups(group []byte, yield func(name string, gid uint32, members string) bool) {
	for line := range bytes.Lines(group) {
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 5)
		if len(f) < 3 || f[0] == "" {
			continue
		}
		gid, err := parseID(f[2])
		if err != nil {
			continue
		}
		members := ""
		if len(f) > 3 {
			members = f[3]
		}
		if !yield(f[0], gid, members) {
			return
		}
	}
}

// hasMember looks for a name in the list of a group's members.
func hasMember(members, name string) bool {
	for member := range strings.SplitSeq(members, ",") {
		if member == name {
			return true
		}
	}
	return false
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n > maxID {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// numeric tells whether a user or group was given as one, which is then never a name.
func numeric(s string) (id uint32, is bool, err error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false, nil
	}
	if id, err = parseID(s); err != nil {
		return 0, true, fmt.Errorf("id %s is beyond %d", s, maxID)
	}
	return id, true, nil
}

// resolveUser is LookupUser on the files' contents.
func resolveUser(passwd, group []byte, user string, groupAdd []string) (u specs.User, home string, err error) {
	name, groupName, _ := strings.Cut(user, ":")
	found, err := resolveAccount(passwd, name)
	if err != nil {
		return u, "", fmt.Errorf("looking up user %q: %w", user, err)
	}
	u.UID, u.GID, home = found.uid, found.gid, found.home
	if home == "" {
		home = "/"
	}
	var supplementary []uint32
	if groupName != "" {
		if u.GID, err = resolveGroup(group, groupName); err != nil {
			return specs.User{}, "", fmt.Errorf("looking up user %q: %w", user, err)
		}
	} else if found.name != "" {
		groups(group, func(_ string, gid uint32, members string) bool {
			if hasMember(members, found.name) {
				supplementary = append(supplementary, gid)
			}
			return len(supplementary) < maxGroups
		})
	}
	for _, name := range groupAdd {
		gid, err := resolveGroup(group, name)
		if err != nil {
			return specs.User{}, "", fmt.Errorf("adding group %q: %w", name, err)
		}
		supplementary = append(supplementary, gid)
	}
	// The primary group is among them, else a process could leave it (CVE-2022-36109).
	u.AdditionalGids = []uint32{u.GID}
	for _, gid := range supplementary {
		if !slices.Contains(u.AdditionalGids, gid) {
			u.AdditionalGids = append(u.AdditionalGids, gid)
		}
	}
	return u, home, nil
}

// maxGroups bounds the groups taken from a hostile file; the kernel's bound is 65536.
const maxGroups = 1024

func resolveAccount(passwd []byte, name string) (found account, err error) {
	uid, isNumber, err := numeric(name)
	if err != nil {
		return found, err
	}
	if name == "" {
		isNumber = true // root, whatever it is called
	}
	ok := false
	accounts(passwd, func(a account) bool {
		if ok = isNumber && a.uid == uid || !isNumber && a.name == name; ok {
			found = a
		}
		return !ok
	})
	if !ok && !isNumber {
		return found, fmt.Errorf("no user %q in the container's /etc/passwd", name)
	}
	if !ok {
		found.uid = uid
	}
	return found, nil
}

func resolveGroup(group []byte, name string) (uint32, error) {
	gid, isNumber, err := numeric(name)
	if err != nil || isNumber {
		return gid, err
	}
	ok := false
	groups(group, func(have string, id uint32, _ string) bool {
		if ok = have == name; ok {
			gid = id
		}
		return !ok
	})
	if !ok {
		return 0, fmt.Errorf("no group %q in the container's /etc/group", name)
	}
	return gid, nil
}
